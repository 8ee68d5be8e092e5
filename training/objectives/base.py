"""The interface of the training objectives, and what they share."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from oodguard.training.objectives.losses import cross_entropy


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


class Objective(Protocol):
    """A training method."""

    def __call__(
        self, network: nn.Module, batch: Batch, generator: torch.Generator
    ) -> TrainingStep:
        """Return the loss of one batch, with its autograd graph."""


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
