"""What the generators share: contrast and colours drawn at random."""

import math

import torch
from torch import Generator, Tensor


def uniform(n: int, low: float, high: float, generator: Generator) -> Tensor:
    """Draw `(n, 1, 1, 1)` from [`low`, `high`]."""
    return low + (high - low) * torch.rand(n, 1, 1, 1, generator=generator)


def stretch(pixels: Tensor, generator: Generator) -> Tensor:
    """Give every image `(n, C, H, W)` a random mean and contrast, cut to [0, 1]."""
    n = len(pixels)
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    deviation = pixels.std(dim=(1, 2, 3), keepdim=True).clamp_min(1e-6)
    contrast = uniform(n, 0.08, 0.35, generator)
    centre = uniform(n, 0.25, 0.75, generator)
    return ((pixels - mean) / deviation * contrast + centre).clamp(0, 1)


def palette(values: Tensor, generator: Generator) -> Tensor:
    """Colour values `(n, 1, H, W)` in [0, 1] by a random cosine palette, as `(n, 3, H, W)`."""
    n = len(values)
    turns = 0.5 + 1.5 * torch.rand(n, 3, 1, 1, generator=generator)
    phase = torch.rand(n, 3, 1, 1, generator=generator)
    return 0.5 + 0.5 * torch.cos(2 * math.pi * (turns * values + phase))
