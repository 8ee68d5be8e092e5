"""The L-infinity ball around an image, cut to [0, 1]."""

import torch
from torch import Tensor


def project(images: Tensor, centre: Tensor, epsilon: float) -> Tensor:
    """Return the point nearest to `images` that is within `epsilon` of `centre` and in [0, 1]."""
    return torch.clamp(
        torch.minimum(torch.maximum(images, centre - epsilon), centre + epsilon), 0, 1
    )


def random_start(centre: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
    """Draw uniformly from the ball of radius `epsilon` around `centre`, cut to [0, 1].

    Real-valued: noise cut to whole 255ths would be zero at the smallest budgets.
    """
    noise = torch.empty_like(centre).uniform_(-epsilon, epsilon, generator=generator)
    return torch.clamp(centre + noise, 0, 1)
