"""ACET: no confidence anywhere around an outlier; inliers are learnt as they are.

Hein et al. 2019, arXiv:1812.05720: CE(x) + weight * max_k log p_k(o'), where o' is the outlier that
an attack has pushed to the highest max_k log p_k. The authors' weight is 1. Their outliers are
smoothed noise; here they are the recipe's.
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
from oodguard.training.objectives.losses import log_confidence


@dataclass(frozen=True, kw_only=True, slots=True)
class Acet:
    """The attack on the outliers and the weight of their term."""

    adversary: Adversary
    outlier_weight: float

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Build the objective from the recipe's [attack] and [outliers]."""
        return cls(adversary=Adversary.from_recipe(recipe), outlier_weight=outlier_weight(recipe))

    def __call__(
        self, network: nn.Module, batch: Batch, generator: torch.Generator
    ) -> TrainingStep:
        """Attack the outliers alone, then return the loss on both halves."""
        attacked = self.adversary(network, batch, generator, outliers=log_confidence)
        inliers, outliers = logits_of_both(network, attacked)
        outlier_loss = log_confidence(outliers).mean()
        return TrainingStep(
            loss=inlier_loss(inliers, batch) + self.outlier_weight * outlier_loss,
            inlier_logits=inliers,
        )
