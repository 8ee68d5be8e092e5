"""The interface of the training objectives, and the loss terms that they are made of."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Inlier pixels `(n, 3, H, W)` in [0, 1], their labels `(n,)`, outlier pixels `(m, 3, H, W)`.

    `progress` is the share of the run's steps that are done. `smoothing` is the label smoothing of
    the loss; attacks maximize the loss without it.
    """

    inliers: Tensor
    labels: Tensor
    outliers: Tensor
    progress: float = 1.0
    smoothing: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingStep:
    """The loss to minimize, and the inliers' class logits `(n, K)` that it was computed from."""

    loss: Tensor
    inlier_logits: Tensor


Objective = Callable[[nn.Module, Batch, torch.Generator], TrainingStep]
"""A training method: returns the loss of one batch, with its autograd graph."""


def logits_of_both(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the logits of the inliers and of the outliers, from one forward pass.

    One pass, so that batch-norm normalizes over the mixture of both.
    """
    count = len(batch.inliers)
    logits = network(torch.cat([batch.inliers, batch.outliers]))
    return logits[:count], logits[count:]


def inlier_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Return the mean cross-entropy of the inliers' logits `(n, C)` to their smoothed labels."""
    return cross_entropy(logits, batch.labels, smoothing=batch.smoothing).mean()
