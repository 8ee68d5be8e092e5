"""The attack on training batches: the inner maximization of the adversarial objectives."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from oodguard.training.attacks.base import Attack
from oodguard.training.attacks.pgd import NFgsm, Pgd
from oodguard.training.config.recipe import AttackKind, Recipe
from oodguard.training.objectives.base import Batch
from oodguard.training.objectives.losses import InlierLoss, OutlierLoss
from oodguard.training.scoring.network import frozen


@dataclass(frozen=True, kw_only=True, slots=True)
class Adversary:
    """Attacks one or both halves of a batch within L-infinity balls.

    Args:
        kind: `pgd`; `fgsm`, which is one step of it (Wong et al. 2020, arXiv:2001.03994); or
            `n-fgsm`, one step from stronger noise.
        epsilon: the radius in [0, 1] pixel units.
        outlier_epsilon: the radius for outliers; None for `epsilon`.
        steps: the number of gradient steps of `pgd`.
        step_size: the length of a step, as a multiple of epsilon.
        ramp: the share of the run over which epsilon grows linearly from 0.
    """

    kind: AttackKind = "pgd"
    epsilon: float
    outlier_epsilon: float | None = None
    steps: int = 1
    step_size: float
    ramp: float = 0.0

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Build the attack from the recipe's `[attack]` table."""
        settings = recipe.attack
        if settings is None:
            raise ValueError(f"method {recipe.method!r} requires the [attack] table")
        return cls(
            kind=settings.kind,
            epsilon=settings.epsilon,
            outlier_epsilon=settings.outlier_epsilon,
            steps=settings.steps,
            step_size=settings.step_size,
            ramp=settings.ramp,
        )

    def at(self, progress: float) -> Attack:
        """Return the attack at `progress`, the share of the run that is done."""
        grown = min(progress / self.ramp, 1.0) if self.ramp > 0 else 1.0
        epsilon = grown * self.epsilon
        step_size = self.step_size * epsilon
        if self.kind == "n-fgsm":
            return NFgsm(epsilon=epsilon, step_size=step_size)
        steps = 1 if self.kind == "fgsm" else self.steps
        return Pgd(epsilon=epsilon, steps=steps, step_size=step_size)

    def __call__(
        self,
        network: nn.Module,
        batch: Batch,
        generator: torch.Generator,
        *,
        inliers: InlierLoss | None = None,
        outliers: OutlierLoss | None = None,
    ) -> Batch:
        """Return the batch with images that maximize the given losses.

        A half without a loss is not changed. Both halves are attacked in one pass, or in one pass
        each if their radii differ. The network's parameters and statistics do not change.
        """
        if self.outlier_epsilon is None:
            return self._attack(network, batch, generator, inliers, outliers)
        if inliers:
            batch = self._attack(network, batch, generator, inliers, None)
        if outliers:
            for_outliers = replace(self, epsilon=self.outlier_epsilon)
            batch = for_outliers._attack(network, batch, generator, None, outliers)
        return batch

    def _attack(
        self,
        network: nn.Module,
        batch: Batch,
        generator: torch.Generator,
        inliers: InlierLoss | None,
        outliers: OutlierLoss | None,
    ) -> Batch:
        count = len(batch.inliers) if inliers else 0
        attacked_outliers = batch.outliers if outliers else batch.outliers[:0]

        def loss(images: Tensor, rows: Tensor) -> Tensor:
            logits = network(images)
            cut = int((rows < count).sum())  # rows are in ascending order
            return torch.cat(
                [
                    *([inliers(logits[:cut], batch.labels[rows[:cut]])] if inliers else []),
                    *([outliers(logits[cut:])] if outliers else []),
                ]
            )

        with frozen(network):
            attacked = self.at(batch.progress)(
                loss, torch.cat([batch.inliers[:count], attacked_outliers]), generator
            )
        return replace(
            batch,
            inliers=attacked[:count] if inliers else batch.inliers,
            outliers=attacked[count:] if outliers else batch.outliers,
        )
