"""Projected gradient descent (PGD) and noised FGSM, the attacks of training."""

from dataclasses import dataclass

import torch
from torch import Tensor

from oodguard.training.attacks.base import AttackObjective, project, uniform, value_and_gradient


@dataclass(frozen=True, kw_only=True, slots=True)
class Pgd:
    """Projected gradient descent from a random start: Madry et al. 2018, arXiv:1706.06083.

    x_{t+1} = P(x_t + step_size sign(grad J(x_t))) for the objective J, where P projects onto the
    L-infinity ball of radius epsilon around the image and [0, 1], and x_0 is uniform in the ball.
    The result is the last iterate. One step is FGSM with a random start: Wong et al. 2020,
    arXiv:2001.03994.
    """

    epsilon: float
    steps: int
    step_size: float

    def __call__(
        self, objective: AttackObjective, images: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return the last iterates `(n, 3, H, W)`, within epsilon of `images`."""
        rows = torch.arange(len(images), device=images.device)
        perturbed = uniform(images, self.epsilon, generator)
        for _ in range(self.steps):
            _, gradient = value_and_gradient(objective, perturbed, rows)
            perturbed = project(perturbed + self.step_size * gradient.sign(), images, self.epsilon)
        return perturbed


@dataclass(frozen=True, kw_only=True, slots=True)
class NFgsm:
    """Noised FGSM (N-FGSM): de Jorge et al. 2022, arXiv:2202.01181.

    x' = x + u + step_size sign(grad J(x + u)) with u uniform in [-2 epsilon, 2 epsilon]. The
    result is clamped to [0, 1] and not projected onto the ball, so it may be up to 2 epsilon +
    step_size away from the image; both together prevent catastrophic overfitting.
    """

    epsilon: float
    step_size: float

    def __call__(
        self, objective: AttackObjective, images: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return images `(n, 3, H, W)` in [0, 1]."""
        noise = torch.empty_like(images).uniform_(
            -2 * self.epsilon, 2 * self.epsilon, generator=generator
        )
        noised = torch.clamp(images + noise, 0, 1)
        rows = torch.arange(len(images), device=images.device)
        _, gradient = value_and_gradient(objective, noised, rows)
        return torch.clamp(noised + self.step_size * gradient.sign(), 0, 1)
