"""ALOE with a reject class: what is not an inlier gets an answer of its own.

CE(x', y) + weight * CE(o', reject), cross-entropies over K + 1 outputs of which the last is the
reject class; x' is the inlier that an attack has pushed to higher CE(., y), be it towards another
class or towards rejection, and o' the outlier it has pushed away from rejection.

The two-sided attack is ALOE's (Chen et al. 2021, arXiv:2003.09711), the reject class that of ATOM
(Chen et al. 2021, arXiv:2006.15207); joining them is this project's own. The uniform target of ALOE
asks an outlier's features to vanish, since every class must get the same logit; a reject class lets
them say "none of these". Scored by the reject class's log-odds, `abstain`.
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
from oodguard.training.objectives.losses import class_logits, cross_entropy, reject_cross_entropy


@dataclass(frozen=True, kw_only=True, slots=True)
class AloeAbstain:
    """The attack of the inner maximisation and the weight of the outlier term."""

    adversary: Adversary
    outlier_weight: float

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Build the objective from the recipe's [attack] and [outliers]."""
        return cls(adversary=Adversary.from_recipe(recipe), outlier_weight=outlier_weight(recipe))

    def __call__(
        self, network: nn.Module, batch: Batch, generator: torch.Generator
    ) -> TrainingStep:
        """Attack both halves in one pass, then return the loss on what the attack found."""
        attacked = self.adversary(
            network, batch, generator, inliers=cross_entropy, outliers=reject_cross_entropy
        )
        inliers, outliers = logits_of_both(network, attacked)
        outlier_loss = reject_cross_entropy(outliers).mean()
        return TrainingStep(
            loss=inlier_loss(inliers, batch) + self.outlier_weight * outlier_loss,
            inlier_logits=class_logits(inliers),
        )
