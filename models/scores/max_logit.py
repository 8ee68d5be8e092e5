"""Maximum logit, which unlike MSP keeps the logits' scale."""

from torch import Tensor


def max_logit(logits: Tensor) -> Tensor:
    """Score logits ``(n, K)`` as ``(n,)``, higher meaning more OOD.

    -max_k z_k; Hendrycks et al. 2022, arXiv:1911.11132.
    """
    return -logits.amax(dim=1)
