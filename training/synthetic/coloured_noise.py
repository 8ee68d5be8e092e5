"""Noise whose power falls as 1 / f^a, from white (a = 0) to clouds (a = 4)."""

import torch
from torch import Generator, Tensor

from training.synthetic.colours import stretch


def coloured_noise(inliers: Tensor, generator: Generator) -> Tensor:
    """Make `(n, 3, H, W)` pixels in [0, 1], as many and as large as `inliers` `(n, H, W, 3)`."""
    n, height, width, _ = inliers.shape
    white = torch.randn(n, 3, height, width, generator=generator)
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    frequency = torch.sqrt(down**2 + across**2)
    frequency[0, 0] = frequency[0, 1]  # the mean is set below, and 1 / 0 is of no use
    amplitude = frequency ** (-2 * torch.rand(n, 1, 1, 1, generator=generator))
    shaped = torch.fft.irfft2(torch.fft.rfft2(white) * amplitude, s=(height, width))
    # Channels that share a part of their pattern, as those of photographs do.
    mixed = torch.einsum("nij,njhw->nihw", torch.rand(n, 3, 3, generator=generator), shaped)
    return stretch(mixed, generator)
