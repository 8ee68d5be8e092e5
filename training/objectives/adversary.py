"""The attack inside training: the inner maximisation that all hardened objectives share."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from oodguard.training.attacks.base import Attack
from oodguard.training.attacks.pgd import NFgsm, Pgd
from oodguard.training.config.recipe import AttackKind, Recipe
from oodguard.training.objectives.base import Batch
from oodguard.training.scoring.network import frozen

InlierLoss = Callable[[Tensor, Tensor], Tensor]
"""Logits `(n, C)` and labels `(n,)` to one value an image `(n,)`."""

OutlierLoss = Callable[[Tensor], Tensor]
"""Logits `(m, C)` to one value an image `(m,)`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Adversary:
    """The attack on a batch: `epsilon` in [0, 1] pixel units, `step_size` in epsilons.

    `fgsm` is one step of `pgd` (Wong et al. 2020, arXiv:2001.03994), and so is `n-fgsm`, from
    stronger noise. Over the first `ramp` share of the run epsilon grows linearly from 0 to its full
    value. Outliers are attacked within `outlier_epsilon` where it is not None.
    """

    kind: AttackKind = "pgd"
    epsilon: float
    outlier_epsilon: float | None = None
    steps: int = 1
    step_size: float
    ramp: float = 0.0

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Build the attack from the [attack] that the recipe's method makes sure of."""
        settings = recipe.attack
        if settings is None:
            raise ValueError(f"{recipe.method!r} wants a recipe with an [attack] table; none came")
        return cls(
            kind=settings.kind,
            epsilon=settings.epsilon,
            outlier_epsilon=settings.outlier_epsilon,
            steps=settings.steps,
            step_size=settings.step_size,
            ramp=settings.ramp,
        )

    def at(self, progress: float) -> Attack:
        """Return the attack as it is when `progress`, a share of the run, lies behind."""
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
        """Return the batch with its images moved to where the losses are high.

        A half without a loss stays as it is. Both halves are attacked in one pass, or in one each
        where their budgets differ, with the network held still.
        """
        if self.outlier_epsilon is None:
            return self._attacked(network, batch, generator, inliers, outliers)
        inside = self._attacked(network, batch, generator, inliers, None) if inliers else batch
        wider = replace(self, epsilon=self.outlier_epsilon)
        return wider._attacked(network, inside, generator, None, outliers) if outliers else inside

    def _attacked(
        self,
        network: nn.Module,
        batch: Batch,
        generator: torch.Generator,
        inliers: InlierLoss | None,
        outliers: OutlierLoss | None,
    ) -> Batch:
        count = len(batch.inliers) if inliers else 0
        outside = batch.outliers if outliers else batch.outliers[:0]

        def harm(images: Tensor, rows: Tensor) -> Tensor:
            logits = network(images)
            cut = int((rows < count).sum())  # rows come in ascending order
            return torch.cat(
                [
                    *([inliers(logits[:cut], batch.labels[rows[:cut]])] if inliers else []),
                    *([outliers(logits[cut:])] if outliers else []),
                ]
            )

        with frozen(network):
            attacked = self.at(batch.progress)(
                harm, torch.cat([batch.inliers[:count], outside]), generator
            )
        return replace(
            batch,
            inliers=attacked[:count] if inliers else batch.inliers,
            outliers=attacked[count:] if outliers else batch.outliers,
        )
