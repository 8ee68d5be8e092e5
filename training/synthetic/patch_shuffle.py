"""Inliers cut into patches that change places: the right texture, and no object."""

import torch
from torch import Generator, Tensor

from training.data import to_pixels

SIDE = 4  # patches along each side


def patch_shuffle(inliers: Tensor, generator: Generator) -> Tensor:
    """Turn `inliers` `(n, H, W, 3)` uint8 into `(n, 3, H, W)` pixels with 4 x 4 patches shuffled.

    Rows and columns beyond a whole number of patches stay where they are. Images smaller than four
    pixels a side are returned as they are.
    """
    n, height, width, _ = inliers.shape
    tall, wide = height // SIDE, width // SIDE
    order = torch.rand(n, SIDE * SIDE, generator=generator).argsort(dim=1)
    pixels = to_pixels(inliers).contiguous()
    body = pixels[:, :, : tall * SIDE, : wide * SIDE]
    patches = body.reshape(n, 3, SIDE, tall, SIDE, wide).permute(0, 2, 4, 1, 3, 5)
    patches = patches.reshape(n, SIDE * SIDE, 3, tall, wide)
    shuffled = patches[torch.arange(n)[:, None], order]
    shuffled = shuffled.reshape(n, SIDE, SIDE, 3, tall, wide).permute(0, 3, 1, 4, 2, 5)
    pixels[:, :, : tall * SIDE, : wide * SIDE] = shuffled.reshape(body.shape)
    return pixels
