"""Another camera and another light for the same object: `[inliers] distort` of a recipe."""

import math

import torch
from torch import Tensor

LARGEST_TURN = math.radians(15)
LARGEST_ZOOM = 0.2
LARGEST_SHEAR = 0.2
LARGEST_CONTRAST = 0.5
LARGEST_BRIGHTNESS = 0.2


def distort(pixels: Tensor, generator: torch.Generator, *, strength: float) -> Tensor:
    """Turn, zoom, shear and light every other image anew.

    Takes and returns float32 `(n, 3, H, W)` in [0, 1]. At `strength` 1 an image is turned by up to
    15 degrees, zoomed by up to a fifth, sheared by up to a fifth, its contrast changed by up to
    half and its brightness by up to a fifth, all drawn uniformly and independently; a smaller
    strength scales all of them. What comes into view is filled by reflection. Half of the images,
    drawn at random, stay as they are: a warp blurs, and images as sharp as real ones are wanted.
    """
    chosen = torch.rand(len(pixels), 1, 1, 1, generator=generator) < 0.5
    warped = warp(pixels, generator, strength=strength)
    return torch.where(chosen, relight(warped, generator, strength=strength), pixels)


def warp(pixels: Tensor, generator: torch.Generator, *, strength: float) -> Tensor:
    """Map each image `(n, 3, H, W)` by an affine map of its own, bilinearly."""
    drawn = _drawn(len(pixels), 4, generator) * strength
    turn, zoom, shear = drawn[:, 0] * LARGEST_TURN, drawn[:, 1], drawn[:, 2:] * LARGEST_SHEAR
    cosine, sine = turn.cos(), turn.sin()
    scale = 1 + zoom * LARGEST_ZOOM
    rows = torch.stack(
        [
            torch.stack([cosine, -sine + shear[:, 0], torch.zeros_like(turn)], dim=1),
            torch.stack([sine + shear[:, 1], cosine, torch.zeros_like(turn)], dim=1),
        ],
        dim=1,
    )
    grid = torch.nn.functional.affine_grid(
        rows * scale[:, None, None], list(pixels.shape), align_corners=False
    )
    return torch.nn.functional.grid_sample(
        pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def relight(pixels: Tensor, generator: torch.Generator, *, strength: float) -> Tensor:
    """Give each image `(n, 3, H, W)` another contrast about its mean, and another brightness."""
    drawn = _drawn(len(pixels), 2, generator)[:, :, None, None, None] * strength
    contrast, brightness = 1 + drawn[:, 0] * LARGEST_CONTRAST, drawn[:, 1] * LARGEST_BRIGHTNESS
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    return (contrast * (pixels - mean) + mean + brightness).clamp(0, 1)


def _drawn(n: int, columns: int, generator: torch.Generator) -> Tensor:
    """Uniform in [-1, 1], `(n, columns)`."""
    return 2 * torch.rand(n, columns, generator=generator) - 1
