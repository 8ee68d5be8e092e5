"""TRADES-ALOE: learn from clean images, and give the same prediction on attacked ones.

    L = CE(x, y) + beta KL(p(x) || p(x')) + w [U(o) + beta KL(p(o) || p(o'))]

where the attacked images x' and o' maximize the divergence, and U is the cross-entropy to the
uniform distribution. The inlier terms are TRADES, Zhang et al. 2019, arXiv:1901.08573, with their
beta of 6; the outlier terms follow ALOE, Chen et al. 2021, arXiv:2003.09711. HALO (Lyons Keenan et
al. 2025, arXiv:2502.19755) combines both too, with a helper term that is not used here.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oodguard.training.attacks.base import restrict_to_rows
from oodguard.training.objectives.adversary import Adversary
from oodguard.training.objectives.base import (
    Batch,
    TrainingStep,
    divergence,
    inlier_loss,
    uniform_cross_entropy,
)
from oodguard.training.scoring.network import frozen


@dataclass(frozen=True, kw_only=True, slots=True)
class TradesAloe:
    """The attack, the weight beta of the divergences and the weight w of the outlier terms."""

    adversary: Adversary
    beta: float
    outlier_weight: float

    def __call__(
        self, network: nn.Module, batch: Batch, generator: torch.Generator
    ) -> TrainingStep:
        """Attack both halves, then return the loss of clean and attacked images."""
        images = torch.cat([batch.inliers, batch.outliers])
        attacked = self._maximize_divergence(network, images, batch, generator)
        clean, perturbed = network(torch.cat([images, attacked])).chunk(2)
        divergences = divergence(clean, perturbed)
        count = len(batch.inliers)
        inlier_term = inlier_loss(clean[:count], batch) + self.beta * divergences[:count].mean()
        exposure = uniform_cross_entropy(clean[count:]).mean()
        outlier_term = exposure + self.beta * divergences[count:].mean()
        return TrainingStep(
            loss=inlier_term + self.outlier_weight * outlier_term, inlier_logits=clean[:count]
        )

    def _maximize_divergence(
        self, network: nn.Module, images: Tensor, batch: Batch, generator: torch.Generator
    ) -> Tensor:
        """Attack both halves in one pass, or in one pass each if their radii differ."""
        every = torch.arange(len(images), device=images.device)
        outlier_epsilon = self.adversary.settings.outlier_epsilon
        passes: list[tuple[Tensor, float | None]] = [(every, None)]
        if outlier_epsilon is not None:
            inliers, outliers = every.tensor_split([len(batch.inliers)])
            passes = [(inliers, None), (outliers, outlier_epsilon)]
        with frozen(network):
            with torch.no_grad():
                clean = network(images)

            def objective(perturbed: Tensor, rows: Tensor) -> Tensor:
                return divergence(clean[rows], network(perturbed))

            return torch.cat(
                [
                    self.adversary.at(batch.progress, epsilon=epsilon)(
                        restrict_to_rows(objective, rows), images[rows], generator
                    )
                    for rows, epsilon in passes
                ]
            )
