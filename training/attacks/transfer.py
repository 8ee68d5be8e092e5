"""Transfer: attack another network and show this one what was found.

It needs nothing of the victim; where it finds what a white-box attack on the victim does not, the
victim's gradients are masked. The usual other network is the undefended twin.
"""

import torch
from torch import Tensor

from training.attacks.attack import Attack
from training.attacks.best import Best
from training.attacks.gradient import Goal


def transferred(
    attack: Attack, images: Tensor, generator: torch.Generator, *, source: Goal, victim: Goal
) -> Tensor:
    """Return what `attack` finds on `source`, or the clean image where `victim` likes that better.

    The victim's goal is asked about nothing else. The caller holds both networks still.
    """
    best = Best.of_clean(victim, images)
    found = attack(source, images, generator)
    rows = best.open(None)
    with torch.no_grad():
        best.offer(rows, found, victim(found, rows))
    return best.images
