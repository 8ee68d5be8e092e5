"""Projected gradient descent: the attack of training, and of evaluation from several starts.

Madry et al. 2018, arXiv:1706.06083. One step with a random start is FGSM as Wong et al. 2020,
arXiv:2001.03994, train with it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from oodguard.training.attacks.base import (
    AttackObjective,
    BestIterates,
    Start,
    project,
    uniform,
    value_and_gradient,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class NFgsm:
    """`epsilon` and `step_size` are in [0, 1] pixel units."""

    epsilon: float
    step_size: float

    def __call__(self, goal: AttackObjective, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images `(n, 3, H, W)` in [0, 1] that raise the goal."""
        noise = torch.empty_like(images).uniform_(
            -2 * self.epsilon, 2 * self.epsilon, generator=generator
        )
        noised = torch.clamp(images + noise, 0, 1)
        rows = torch.arange(len(images), device=images.device)
        _, gradient = value_and_gradient(goal, noised, rows)
        return torch.clamp(noised + self.step_size * gradient.sign(), 0, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pgd:
    """`steps` signed-gradient steps of `step_size` from a random start; the last iterate counts.

    `epsilon` and `step_size` are in [0, 1] pixel units.
    """

    epsilon: float
    steps: int
    step_size: float

    def __call__(self, goal: AttackObjective, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images `(n, 3, H, W)` within epsilon of `images` that raise the goal."""
        rows = torch.arange(len(images), device=images.device)
        perturbed = uniform(images, self.epsilon, generator)
        for _ in range(self.steps):
            _, gradient = value_and_gradient(goal, perturbed, rows)
            perturbed = project(perturbed + self.step_size * gradient.sign(), images, self.epsilon)
        return perturbed


@dataclass(frozen=True, kw_only=True, slots=True)
class WorstCasePgd:
    """PGD once from each of `starts`, keeping each image's best iterate of all of them.

    The unperturbed image is a candidate too, so that an attack never reports less than no attack.
    An image whose goal has come to `stop_at` is broken and is not attacked any further.
    """

    epsilon: float
    steps: int
    step_size: float
    starts: tuple[Start, ...] = (uniform,)
    stop_at: float | None = None

    def __call__(self, goal: AttackObjective, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return, of all iterates, the images `(n, 3, H, W)` with the highest goal."""
        best = BestIterates.of_clean(goal, images)
        for start in self.starts:
            rows = best.open(self.stop_at)
            if len(rows) == 0:
                break
            self._climb(goal, images, rows, start(images[rows], self.epsilon, generator), best)
        return best.images

    def _climb(
        self,
        goal: AttackObjective,
        images: Tensor,
        rows: Tensor,
        perturbed: Tensor,
        best: BestIterates,
    ) -> None:
        for _ in range(self.steps):
            value, gradient = value_and_gradient(goal, perturbed, rows)
            best.offer(rows, perturbed, value)
            perturbed = perturbed + self.step_size * gradient.sign()
            if self.stop_at is not None:
                still = ~(value >= self.stop_at)
                rows, perturbed = rows[still], perturbed[still]
                if len(rows) == 0:
                    return
            perturbed = project(perturbed, images[rows], self.epsilon)
        with torch.no_grad():
            best.offer(rows, perturbed, goal(perturbed, rows))
