"""The best of several random noises: what anybody finds who does not attack at all.

A white-box attack that is not far stronger than this one does not work.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from oodguard.training.attacks.base import Attack, AttackObjective, BestIterates, uniform


def transfer_attack(
    attack: Attack,
    images: Tensor,
    generator: torch.Generator,
    *,
    source: AttackObjective,
    victim: AttackObjective,
) -> Tensor:
    """Return what `attack` finds on `source`, or the clean image where `victim` likes that better.

    The victim's goal is asked about nothing else. The caller holds both networks still.
    """
    best = BestIterates.of_clean(victim, images)
    found = attack(source, images, generator)
    rows = best.open(None)
    with torch.no_grad():
        best.offer(rows, found, victim(found, rows))
    return best.images


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomNoise:
    """The best of `draws` uniform draws from the ball and the clean image.

    `epsilon` is in [0, 1] pixel units.
    """

    epsilon: float
    draws: int

    @torch.no_grad()
    def __call__(self, goal: AttackObjective, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return, of all draws, the images `(n, 3, H, W)` with the highest goal."""
        best = BestIterates.of_clean(goal, images)
        rows = best.open(None)
        for _ in range(self.draws):
            drawn = uniform(images, self.epsilon, generator)
            best.offer(rows, drawn, goal(drawn, rows))
        return best.images
