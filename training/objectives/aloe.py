"""ALOE: adversarial training with informative outliers, robust on both sides.

Chen et al. 2021, arXiv:2003.09711: CE(x') + weight * CE_uniform(o'), where x' is the inlier that an
attack has pushed to higher cross-entropy and o' the outlier it has pushed to confidence.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from training.attacks.pgd import Pgd
from training.objectives.base import Batch, Step
from training.objectives.losses import cross_entropy, uniform_cross_entropy
from training.recipe import Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Aloe:
    """The attack of the inner maximisation and the weight of the outlier term."""

    attack: Pgd
    outlier_weight: float

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Build the objective from the recipe's [attack] and [outliers], which it guarantees."""
        if recipe.attack is None or recipe.outliers is None:
            raise ValueError("ALOE wants a recipe with [attack] and [outliers] tables")
        epsilon = recipe.attack.epsilon_255 / 255
        attack = Pgd(
            epsilon=epsilon,
            steps=recipe.attack.steps,
            step_size=recipe.attack.step_size * epsilon,
        )
        return cls(attack=attack, outlier_weight=recipe.outliers.weight)

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> Step:
        """Attack both halves in one pass, then return the loss on what the attack found."""
        count = len(batch.inliers)

        def terms(logits: Tensor) -> tuple[Tensor, Tensor]:
            return (
                cross_entropy(logits[:count], batch.labels),
                uniform_cross_entropy(logits[count:]),
            )

        def harm(logits: Tensor) -> Tensor:
            return torch.cat(terms(logits))

        clean = torch.cat([batch.inliers, batch.outliers])
        logits = network(self.attack(network, clean, harm, generator))
        inlier_loss, outlier_loss = terms(logits)
        loss = inlier_loss.mean() + self.outlier_weight * outlier_loss.mean()
        return Step(loss=loss, inlier_logits=logits[:count])
