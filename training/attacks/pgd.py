"""Projected gradient descent: the attack of training, and of evaluation with restarts.

Madry et al. 2018, arXiv:1706.06083; one step with a random start is Wong et al. 2020,
arXiv:2001.03994.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.attacks.gradient import Aim, frozen, value_and_gradient
from training.attacks.linf import project, random_start


@dataclass(frozen=True, kw_only=True, slots=True)
class Pgd:
    """`steps` signed-gradient steps of `step_size` from a random start; the last iterate counts.

    `epsilon` and `step_size` are in [0, 1] pixel units.
    """

    epsilon: float
    steps: int
    step_size: float

    def __call__(
        self, network: nn.Module, images: Tensor, aim: Aim, generator: torch.Generator
    ) -> Tensor:
        """Return images `(n, 3, H, W)` within epsilon of `images` that raise the aim."""
        perturbed = random_start(images, self.epsilon, generator)
        with frozen(network):
            for _ in range(self.steps):
                _, gradient = value_and_gradient(network, perturbed, aim)
                perturbed = project(
                    perturbed + self.step_size * gradient.sign(), images, self.epsilon
                )
        return perturbed


@dataclass(frozen=True, kw_only=True, slots=True)
class WorstCasePgd:
    """PGD from `restarts` random starts, keeping each image's best iterate of all of them.

    The unperturbed image is a candidate too, so that an attack never reports less than no attack.
    """

    epsilon: float
    steps: int
    step_size: float
    restarts: int

    def __call__(
        self, network: nn.Module, images: Tensor, aim: Aim, generator: torch.Generator
    ) -> Tensor:
        """Return, of all iterates, the images `(n, 3, H, W)` with the highest aim."""
        best = images.clone()
        with frozen(network), torch.no_grad():
            highest = aim(network(best))
            for _ in range(self.restarts):
                perturbed = random_start(images, self.epsilon, generator)
                for _ in range(self.steps):
                    value, gradient = value_and_gradient(network, perturbed, aim)
                    _keep_better(best, highest, perturbed, value)
                    perturbed = project(
                        perturbed + self.step_size * gradient.sign(), images, self.epsilon
                    )
                _keep_better(best, highest, perturbed, aim(network(perturbed)))
        return best


def _keep_better(best: Tensor, highest: Tensor, images: Tensor, value: Tensor) -> None:
    better = value > highest
    best[better] = images[better]
    highest[better] = value[better]
