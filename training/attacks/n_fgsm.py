"""N-FGSM: one signed-gradient step from strong noise, for training at large budgets.

De Jorge et al. 2022, arXiv:2202.01181. The noise is twice epsilon and the sum is not cut back to
the ball, which is what keeps one-step training from catastrophic overfitting at 8/255: so the found
images may be further than epsilon from the originals, up to three epsilons in a pixel.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.attacks.gradient import Goal, value_and_gradient


@dataclass(frozen=True, kw_only=True, slots=True)
class NFgsm:
    """`epsilon` and `step_size` are in [0, 1] pixel units."""

    epsilon: float
    step_size: float

    def __call__(self, goal: Goal, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images `(n, 3, H, W)` in [0, 1] that raise the goal."""
        noise = torch.empty_like(images).uniform_(
            -2 * self.epsilon, 2 * self.epsilon, generator=generator
        )
        noised = torch.clamp(images + noise, 0, 1)
        rows = torch.arange(len(images), device=images.device)
        _, gradient = value_and_gradient(goal, noised, rows)
        return torch.clamp(noised + self.step_size * gradient.sign(), 0, 1)
