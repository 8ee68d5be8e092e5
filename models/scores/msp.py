"""Maximum softmax probability, the baseline detector."""

import torch
from torch import Tensor


def msp(logits: Tensor) -> Tensor:
    """Score logits ``(n, K)`` as ``(n,)`` in [0, 1 - 1/K], higher meaning more OOD.

    1 - max_k softmax(z)_k; Hendrycks and Gimpel 2017, arXiv:1610.02136.
    """
    return 1.0 - torch.softmax(logits, dim=1).amax(dim=1)
