"""Several inliers laid over one another: every class at once is none of them."""

import torch
from torch import Generator, Tensor

from training.data import to_pixels
from training.synthetic.colours import stretch

PICTURES = 3


def mixture(inliers: Tensor, generator: Generator) -> Tensor:
    """Mix each of `inliers` `(n, H, W, 3)` uint8 with two others, as `(n, 3, H, W)` in [0, 1].

    In equal parts, with the contrast that averaging takes brought back. A batch of one image has no
    others: its mirror images stand in.
    """
    pixels = to_pixels(inliers)
    total = pixels
    for _ in range(PICTURES - 1):
        others = pixels[torch.randperm(len(pixels), generator=generator)]
        flipped = torch.rand(len(pixels), 1, 1, 1, generator=generator) < 0.5
        total = total + torch.where(flipped, others.flip(2), others.flip(3))
    return stretch(total / PICTURES, generator)
