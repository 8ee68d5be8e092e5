"""Maximum softmax probability, the baseline detector."""

import torch
from torch import Tensor


def msp(logits: Tensor) -> Tensor:
    """Return 1 - max_k softmax(z)_k of logits z `(n, K)`, as `(n,)` in [0, 1 - 1/K].

    Higher means more OOD. Hendrycks and Gimpel 2017, arXiv:1610.02136.
    """
    return 1.0 - torch.softmax(logits, dim=1).amax(dim=1)


def msp_log_odds(logits: Tensor) -> Tensor:
    """Return log((1 - p) / p) with p = max_k softmax(z)_k of logits z `(n, K)`, as `(n,)`.

    This is the logit of `msp`: the ranking is the same, and the gradient does not vanish where the
    softmax saturates. An attack on `msp` itself would stop there and overestimate the robustness.
    """
    top = logits.argmax(dim=1, keepdim=True)
    others = logits.scatter(1, top, -torch.inf)
    return torch.logsumexp(others, dim=1) - logits.gather(1, top).squeeze(1)
