"""Adversarial training with outlier exposure: attacked inliers, outliers as they are.

CE(x') + weight * CE_uniform(o): "AOE" in the ALOE paper, Chen et al. 2021, arXiv:2003.09711, whose
weight is 0.5. What it lacks against ALOE is robustness on the outliers' side.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import nn

from oodguard.training.config.recipe import Recipe
from oodguard.training.objectives.adversary import Adversary
from oodguard.training.objectives.base import (
    Batch,
    TrainingStep,
    inlier_loss,
    logits_of_both,
    outlier_weight,
)
from oodguard.training.objectives.losses import cross_entropy, uniform_cross_entropy


@dataclass(frozen=True, kw_only=True, slots=True)
class AdversarialOutlierExposure:
    """The attack on the inliers and the weight of the outlier term."""

    adversary: Adversary
    outlier_weight: float

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Build the objective from the recipe's [attack] and [outliers]."""
        return cls(adversary=Adversary.from_recipe(recipe), outlier_weight=outlier_weight(recipe))

    def __call__(
        self, network: nn.Module, batch: Batch, generator: torch.Generator
    ) -> TrainingStep:
        """Attack the inliers alone, then return the loss on both halves."""
        attacked = self.adversary(network, batch, generator, inliers=cross_entropy)
        inliers, outliers = logits_of_both(network, attacked)
        outlier_loss = uniform_cross_entropy(outliers).mean()
        return TrainingStep(
            loss=inlier_loss(inliers, batch) + self.outlier_weight * outlier_loss,
            inlier_logits=inliers,
        )
