"""Outlier exposure: outliers are to be answered without confidence. No attack.

Hendrycks et al. 2019, arXiv:1812.04606: CE(x) + weight * CE_uniform(o), with
CE_uniform(z) = logsumexp(z) - mean(z); the authors' weight is 0.5.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import nn

from oodguard.training.config.recipe import Recipe
from oodguard.training.objectives.base import (
    Batch,
    TrainingStep,
    inlier_loss,
    logits_of_both,
    outlier_weight,
)
from oodguard.training.objectives.losses import uniform_cross_entropy


@dataclass(frozen=True, kw_only=True, slots=True)
class OutlierExposure:
    """The weight of the outlier term."""

    outlier_weight: float

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Build the objective from the recipe's [outliers]."""
        return cls(outlier_weight=outlier_weight(recipe))

    def __call__(
        self,
        network: nn.Module,
        batch: Batch,
        generator: torch.Generator,  # noqa: ARG002
    ) -> TrainingStep:
        """Return the loss on both halves as they are."""
        inliers, outliers = logits_of_both(network, batch)
        outlier_loss = uniform_cross_entropy(outliers).mean()
        return TrainingStep(
            loss=inlier_loss(inliers, batch) + self.outlier_weight * outlier_loss,
            inlier_logits=inliers,
        )
