"""The two loss terms that the objectives are made of, one value an image."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the field's name for it)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of logits `(n, K)` to labels `(n,)`, as `(n,)` nats."""
    return F.cross_entropy(logits, labels, reduction="none")


def uniform_cross_entropy(logits: Tensor) -> Tensor:
    """Cross-entropy of logits `(n, K)` to the uniform distribution, as `(n,)` nats, least log K.

    logsumexp(z) - mean(z): high where the network is confident. The outlier exposure term of
    Hendrycks et al. 2019, arXiv:1812.04606.
    """
    return torch.logsumexp(logits, dim=1) - logits.mean(dim=1)
