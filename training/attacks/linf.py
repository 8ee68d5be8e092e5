"""The L-infinity ball around an image, cut to [0, 1]."""

import torch
from torch import Tensor


def project(images: Tensor, centre: Tensor, epsilon: float) -> Tensor:
    """Return the point nearest to `images` that is within `epsilon` of `centre` and in [0, 1]."""
    return torch.clamp(
        torch.minimum(torch.maximum(images, centre - epsilon), centre + epsilon), 0, 1
    )
