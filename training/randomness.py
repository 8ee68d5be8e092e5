"""Where all random draws of training come from: the recipe's seed and the epoch's number."""

import torch

WATCHING = -1  # in place of an epoch's number: what is watched is attacked alike after every epoch


def drawn_from(seed: int, epoch: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the generator of one epoch, so that a checkpoint needs no generator's state."""
    return torch.Generator(device).manual_seed(seed * 100_003 + epoch + 1)
