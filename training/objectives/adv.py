"""Adversarial training of the inliers alone.

Madry et al. 2018, arXiv:1706.06083: CE(x'), where x' is the inlier that an attack has pushed to
higher cross-entropy. "ADV" in the ALOE paper, arXiv:2003.09711.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import nn

from oodguard.training.config.recipe import Recipe
from oodguard.training.objectives.adversary import Adversary
from oodguard.training.objectives.base import Batch, TrainingStep, inlier_loss
from oodguard.training.objectives.losses import cross_entropy


@dataclass(frozen=True, kw_only=True, slots=True)
class Adversarial:
    """The attack of the inner maximisation."""

    adversary: Adversary

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Build the objective from the recipe's [attack]."""
        return cls(adversary=Adversary.from_recipe(recipe))

    def __call__(
        self, network: nn.Module, batch: Batch, generator: torch.Generator
    ) -> TrainingStep:
        """Attack the inliers, then return the loss on what the attack found."""
        attacked = self.adversary(network, batch, generator, inliers=cross_entropy)
        logits = network(attacked.inliers)
        return TrainingStep(loss=inlier_loss(logits, batch), inlier_logits=logits)
