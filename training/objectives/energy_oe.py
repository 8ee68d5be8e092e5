"""Energy-bounded outlier exposure: low energies for inliers, high ones for outliers.

Liu et al. 2020, arXiv:2010.03759: CE(x) + weight * [max(0, E(x) - m_in)^2 + max(0, m_out - E(o))^2]
with E = -logsumexp(z). The authors' weight is 0.1, and they fine-tune a trained classifier with it.

Under attack (`energy-aloe`, this project's own) the inlier x' has been pushed to a higher value of
its own terms, as weighted above, and the outlier o' to a lower energy: not to a higher hinge, whose
gradient vanishes beyond the margin.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from oodguard.models.scores.energy import energy
from oodguard.training.config.methods import EnergySettings
from oodguard.training.config.recipe import Recipe
from oodguard.training.objectives.adversary import Adversary
from oodguard.training.objectives.base import (
    Batch,
    TrainingStep,
    inlier_loss,
    logits_of_both,
    outlier_weight,
)
from oodguard.training.objectives.losses import cross_entropy


@dataclass(frozen=True, kw_only=True, slots=True)
class EnergyBounded:
    """The margins and the weight of both hinges; `adversary` is None where nothing is attacked."""

    margins: EnergySettings
    weight: float
    adversary: Adversary | None = None

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Build the objective from the recipe's [energy], [outliers] and, if there, [attack]."""
        return cls(
            margins=recipe.energy or EnergySettings(),
            weight=outlier_weight(recipe),
            adversary=Adversary.from_recipe(recipe) if recipe.attack else None,
        )

    def __call__(
        self, network: nn.Module, batch: Batch, generator: torch.Generator
    ) -> TrainingStep:
        """Attack both halves in one pass, if at all, then return the loss on both."""
        attacked = batch
        if self.adversary is not None:
            attacked = self.adversary(
                network,
                batch,
                generator,
                inliers=lambda z, labels: cross_entropy(z, labels) + self.weight * self._high(z),
                outliers=lambda z: -energy(z),
            )
        inliers, outliers = logits_of_both(network, attacked)
        hinges = self._high(inliers).mean() + self._low(outliers).mean()
        return TrainingStep(
            loss=inlier_loss(inliers, batch) + self.weight * hinges, inlier_logits=inliers
        )

    def _high(self, logits: Tensor) -> Tensor:
        return torch.relu(energy(logits) - self.margins.inlier_margin).square()

    def _low(self, logits: Tensor) -> Tensor:
        return torch.relu(self.margins.outlier_margin - energy(logits)).square()
