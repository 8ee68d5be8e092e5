"""Dead leaves: discs and squares of power-law size that occlude one another.

The statistics of edges and areas are close to those of photographs (Lee, Mumford and Huang 2001),
which makes them learnable from in place of photographs (Baradad et al. 2021, arXiv:2106.05963).
"""

import torch
from torch import Generator, Tensor

LEAVES = 24


def dead_leaves(inliers: Tensor, generator: Generator) -> Tensor:
    """Make `(n, 3, H, W)` pixels in [0, 1], as many and as large as `inliers` `(n, H, W, 3)`."""
    n, height, width, _ = inliers.shape
    rows = torch.linspace(0, 1, height).view(1, height, 1)
    columns = torch.linspace(0, 1, width).view(1, 1, width)
    # A density of r^-3 between the smallest and the largest radius, by inversion.
    smallest, largest = 0.06, 0.6
    share = torch.rand(n, LEAVES, generator=generator)
    radius = (smallest**-2 + share * (largest**-2 - smallest**-2)) ** -0.5
    centre = torch.rand(2, n, LEAVES, generator=generator)
    disc = torch.rand(n, LEAVES, generator=generator) < 0.5
    colour = torch.rand(n, LEAVES, 3, 1, 1, generator=generator)
    pixels = torch.rand(n, 3, 1, 1, generator=generator).repeat(1, 1, height, width)
    for leaf in range(LEAVES):
        at = centre[:, :, leaf, None, None]
        down, across = (rows - at[0]) ** 2, (columns - at[1]) ** 2
        round_leaf = disc[:, leaf, None, None]
        distance = torch.where(round_leaf, down + across, torch.maximum(down, across))
        inside = distance < radius[:, leaf, None, None] ** 2
        pixels = torch.where(inside[:, None], colour[:, leaf], pixels)
    return pixels
