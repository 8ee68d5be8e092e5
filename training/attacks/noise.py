"""Attacks that use no gradient of the attacked network: random noise and transfer."""

from dataclasses import dataclass

import torch
from torch import Tensor

from oodguard.training.attacks.base import Attack, AttackObjective, BestIterates, uniform


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomNoise:
    """The best of several uniform draws from the ball.

    This is the baseline: a white-box attack that is not far stronger does not work.
    """

    epsilon: float
    draws: int

    @torch.no_grad()
    def __call__(
        self, objective: AttackObjective, images: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return, of all draws and the clean image, those with the highest objective."""
        best = BestIterates.from_clean(objective, images)
        rows = best.unfinished(None)
        for _ in range(self.draws):
            drawn = uniform(images, self.epsilon, generator)
            best.update(rows, drawn, objective(drawn, rows))
        return best.images


def transfer_attack(
    attack: Attack,
    images: Tensor,
    generator: torch.Generator,
    *,
    source: AttackObjective,
    victim: AttackObjective,
) -> Tensor:
    """Attack `source` and evaluate the result on `victim`, without a gradient of `victim`.

    The caller freezes both networks. Where its objective is higher, the clean image is returned.
    """
    best = BestIterates.from_clean(victim, images)
    attacked = attack(source, images, generator)
    rows = best.unfinished(None)
    with torch.no_grad():
        best.update(rows, attacked, victim(attacked, rows))
    return best.images
