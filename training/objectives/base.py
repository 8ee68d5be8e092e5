"""What every training objective takes and returns."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from oodguard.training.config.recipe import Recipe
from oodguard.training.objectives.losses import cross_entropy


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Pixels `(n, 3, H, W)` in [0, 1] with labels `(n,)`, and outlier pixels `(m, 3, H, W)`.

    `progress` is the share of the run's steps that were made before this one; `smoothing` is that
    of the labels in the loss, which no attack climbs.
    """

    inliers: Tensor
    labels: Tensor
    outliers: Tensor
    progress: float = 1.0
    smoothing: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingStep:
    """The loss to descend, and the inliers' class logits `(n, K)` as they were trained on."""

    loss: Tensor
    inlier_logits: Tensor


class Objective(Protocol):
    """One training method."""

    def __call__(
        self, network: nn.Module, batch: Batch, generator: torch.Generator
    ) -> TrainingStep:
        """Return the loss of one batch, with its graph."""
        ...


def logits_of_both(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the logits of the inliers and of the outliers, from one pass over both.

    One pass, so that batch-norm sees what training mixes and not two kinds of batch in turn.
    """
    count = len(batch.inliers)
    logits = network(torch.cat([batch.inliers, batch.outliers]))
    return logits[:count], logits[count:]


def inlier_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Return the mean cross-entropy of the inliers' logits `(n, C)` to their smoothed labels."""
    return cross_entropy(logits, batch.labels, smoothing=batch.smoothing).mean()


def outlier_weight(recipe: Recipe) -> float:
    """Return the weight of the outlier term, from the [outliers] that the method makes sure of."""
    if recipe.outliers is None:
        raise ValueError(f"{recipe.method!r} wants a recipe with an [outliers] table; none came")
    return recipe.outliers.weight
