"""ATOM: adversarial training with informative outlier mining.

Chen et al. 2021, arXiv:2006.15207: CE(x, y) + weight * CE(o*, reject) over K + 1 outputs of which
the last is the reject class. The outliers are mined: a pool is ranked by the probability of the
reject class, lowest first, the images from a quantile on are taken, and half of these are attacked
away from rejection before they are learnt. The authors' weight is 1, their quantile 0.125 for
CIFAR-10, their pool four times what is taken.

They rank one pool an epoch, of four times the epoch's outliers, with the network as it is at the
epoch's start; here every batch has a pool of its own, ranked by the network of that very step. The
ranking is never stale and nothing is stored between batches, but what is taken is the least
out-of-distribution of a few hundred images in place of some hundred thousand. Both see the same
number of images.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import nn

from oodguard.training.config.methods import MiningSettings
from oodguard.training.config.recipe import Recipe
from oodguard.training.objectives.adversary import Adversary
from oodguard.training.objectives.base import (
    Batch,
    TrainingStep,
    inlier_loss,
    logits_of_both,
    outlier_weight,
)
from oodguard.training.objectives.losses import class_logits, reject_cross_entropy
from oodguard.training.objectives.mining import mine


@dataclass(frozen=True, kw_only=True, slots=True)
class Atom:
    """The attack on the mined outliers, how they are mined and the weight of their term.

    A batch's outliers are the pool; one in `mining.pool` of them is learnt.
    """

    adversary: Adversary
    mining: MiningSettings
    outlier_weight: float

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Build the objective from the recipe's [attack], [mining] and [outliers]."""
        return cls(
            adversary=Adversary.from_recipe(recipe),
            mining=recipe.mining or MiningSettings(),
            outlier_weight=outlier_weight(recipe),
        )

    def __call__(
        self, network: nn.Module, batch: Batch, generator: torch.Generator
    ) -> TrainingStep:
        """Mine, attack the asked share of what was mined, and return the loss on all of it."""
        mined = mine(
            network,
            batch.outliers,
            count=-(-len(batch.outliers) // self.mining.pool),  # upwards: at least one is learnt
            quantile=self.mining.quantile,
            generator=generator,
        )
        count = round(self.mining.attacked * len(mined))
        attacked = self.adversary(
            network,
            replace(batch, outliers=mined[:count]),
            generator,
            outliers=reject_cross_entropy,
        )
        outliers = torch.cat([attacked.outliers, mined[count:]])
        inlier_logits, outlier_logits = logits_of_both(network, replace(batch, outliers=outliers))
        outlier_loss = reject_cross_entropy(outlier_logits).mean()
        return TrainingStep(
            loss=inlier_loss(inlier_logits, batch) + self.outlier_weight * outlier_loss,
            inlier_logits=class_logits(inlier_logits),
        )
