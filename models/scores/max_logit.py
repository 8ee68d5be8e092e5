"""Negative maximum logit, which in contrast to MSP depends on the scale of the logits."""

from torch import Tensor


def max_logit(logits: Tensor) -> Tensor:
    """Return -max_k z_k of logits z `(n, K)`, as `(n,)`; higher means more OOD.

    Hendrycks et al. 2022, arXiv:1911.11132.
    """
    return -logits.amax(dim=1)
