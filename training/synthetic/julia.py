"""Fractals: Julia sets of z^2 + c, coloured by how soon a point escapes."""

import math

import torch
from torch import Generator, Tensor

from training.synthetic.colours import palette, uniform

ITERATIONS = 20


def julia(inliers: Tensor, generator: Generator) -> Tensor:
    """Make `(n, 3, H, W)` pixels in [0, 1], as many and as large as `inliers` `(n, H, W, 3)`."""
    n, height, width, _ = inliers.shape
    zoom = uniform(n, 0.3, 1.5, generator)
    x = torch.linspace(-1, 1, width).view(1, 1, 1, width) * zoom + uniform(n, -0.5, 0.5, generator)
    y = torch.linspace(-1, 1, height).view(1, 1, height, 1) * zoom
    y = y + uniform(n, -0.5, 0.5, generator)
    x, y = torch.broadcast_tensors(x, y)
    # Near the boundary of the Mandelbrot set's main cardioid the sets are at their most intricate.
    angle = uniform(n, 0, 2 * math.pi, generator)
    swell = uniform(n, 1.0, 1.1, generator)
    real = swell * (torch.cos(angle) / 2 - torch.cos(2 * angle) / 4)
    imaginary = swell * (torch.sin(angle) / 2 - torch.sin(2 * angle) / 4)
    escaped = torch.zeros_like(x)
    for _ in range(ITERATIONS):
        x, y = x * x - y * y + real, 2 * x * y + imaginary
        x, y = x.clamp(-4, 4), y.clamp(-4, 4)  # what has escaped stays out, and finite
        escaped = escaped + (x * x + y * y > 4)
    return palette(escaped / ITERATIONS, generator)
