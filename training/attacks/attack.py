"""What every attack is: something that moves images to where a goal is high."""

from typing import Protocol

import torch
from torch import Tensor

from training.attacks.gradient import Goal


class Attack(Protocol):
    """One attack with its budget.

    The caller holds the network behind the goal still, with `training.attacks.gradient.frozen`.
    """

    def __call__(self, goal: Goal, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images `(n, 3, H, W)` in [0, 1], near `images`, where the goal is high."""
        ...
