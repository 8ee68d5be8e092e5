"""The loss terms that the objectives are made of, each with one value per image."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (its conventional name)

InlierLoss = Callable[[Tensor, Tensor], Tensor]
"""Maps logits `(n, C)` and labels `(n,)` to one value per image `(n,)`."""

OutlierLoss = Callable[[Tensor], Tensor]
"""Maps logits `(m, C)` to one value per image `(m,)`."""


def cross_entropy(logits: Tensor, labels: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of logits `(n, K)` to labels `(n,)`, as `(n,)` nats.

    With `smoothing` s the target is (1 - s) onehot(y) + s / K. Szegedy et al. 2016,
    arXiv:1512.00567.
    """
    return F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)


def uniform_cross_entropy(logits: Tensor) -> Tensor:
    """Cross-entropy of logits z `(n, K)` to the uniform distribution, as `(n,)` nats.

    logsumexp(z) - mean(z): at least log K, and high where the network is confident. The outlier
    exposure term of Hendrycks et al. 2019, arXiv:1812.04606.
    """
    return torch.logsumexp(logits, dim=1) - logits.mean(dim=1)


def log_confidence(logits: Tensor) -> Tensor:
    """Log of the highest class probability of logits `(n, K)`, as `(n,)` nats, in [-log K, 0]."""
    return logits.amax(dim=1) - torch.logsumexp(logits, dim=1)


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """Kullback-Leibler divergence KL(p || q), as `(n,)` nats.

    p is the softmax of `logits` and q that of `others`, both `(n, K)`.
    """
    log_p, log_q = F.log_softmax(logits, dim=1), F.log_softmax(others, dim=1)
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(dim=1)


def reject_cross_entropy(logits: Tensor) -> Tensor:
    """Cross-entropy of logits `(n, K + 1)` to the last output, the reject class, as `(n,)` nats."""
    reject_class = logits.shape[1] - 1
    labels = torch.full((len(logits),), reject_class, device=logits.device)
    return cross_entropy(logits, labels)


def class_logits(logits: Tensor) -> Tensor:
    """Return the class logits `(n, K)` of logits `(n, K + 1)` whose last is the reject class."""
    return logits[:, :-1]
