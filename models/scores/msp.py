"""Maximum softmax probability, the baseline detector."""

import torch
from torch import Tensor


def msp(logits: Tensor) -> Tensor:
    """Score logits ``(n, K)`` as ``(n,)`` in [0, 1 - 1/K], higher meaning more OOD.

    1 - max_k softmax(z)_k; Hendrycks and Gimpel 2017, arXiv:1610.02136.
    """
    return 1.0 - torch.softmax(logits, dim=1).amax(dim=1)


def msp_log_odds(logits: Tensor) -> Tensor:
    """log((1 - p) / p) for p the maximum softmax probability of logits ``(n, K)``, as ``(n,)``.

    The logit of `msp`: the same ranking, and a gradient that does not vanish where the softmax
    saturates. An attack that climbed `msp` itself would stall there and report robustness that is
    not there.
    """
    top = logits.argmax(dim=1, keepdim=True)
    others = logits.scatter(1, top, -torch.inf)
    return torch.logsumexp(others, dim=1) - logits.gather(1, top).squeeze(1)
