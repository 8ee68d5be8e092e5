"""Energy-bounded outlier exposure: low energy for inliers, high energy for outliers.

    L = CE(x, y) + w [max(0, E(x) - m_in)^2 + max(0, m_out - E(o))^2],  E = -logsumexp(z)

Liu et al. 2020, arXiv:2010.03759 (`energy-oe`). The paper uses w = 0.1 and fine-tunes a trained
classifier.

In `energy-aloe`, this project's combination with ALOE, the attacked inlier x' maximizes
CE(x', y) + w max(0, E(x') - m_in)^2, and the attacked outlier o' minimizes E(o'). It does not
maximize the outliers' hinge, whose gradient is zero within the margin.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oodguard.models.scores.logit_scores import energy
from oodguard.training.config.methods import EnergySettings
from oodguard.training.objectives.adversary import Adversary
from oodguard.training.objectives.base import (
    Batch,
    TrainingStep,
    cross_entropy,
    inlier_loss,
    logits_of_both,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EnergyBounded:
    """The margins and the weight w of both hinges; `adversary` is None without an attack."""

    margins: EnergySettings
    weight: float
    adversary: Adversary | None = None

    def __call__(
        self, network: nn.Module, batch: Batch, generator: torch.Generator
    ) -> TrainingStep:
        """Attack both halves in one pass, if there is an attack, then return the loss of both."""
        if self.adversary is not None:
            batch = self.adversary(
                network,
                batch,
                generator,
                inliers=lambda z, y: cross_entropy(z, y) + self.weight * self._inlier_hinge(z),
                outliers=lambda z: -energy(z),
            )
        inliers, outliers = logits_of_both(network, batch)
        hinges = self._inlier_hinge(inliers).mean() + self._outlier_hinge(outliers).mean()
        return TrainingStep(
            loss=inlier_loss(inliers, batch) + self.weight * hinges, inlier_logits=inliers
        )

    def _inlier_hinge(self, logits: Tensor) -> Tensor:
        return torch.relu(energy(logits) - self.margins.inlier_margin).square()

    def _outlier_hinge(self, logits: Tensor) -> Tensor:
        return torch.relu(self.margins.outlier_margin - energy(logits)).square()
