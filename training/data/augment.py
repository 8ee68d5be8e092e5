"""Vectorised augmentation of uint8 batches: shift and mirror for all, more for outliers."""

import math

import torch
from torch import Tensor

from oodguard.training.data.dataset import to_pixels

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


def shift_and_mirror(
    images: Tensor, generator: torch.Generator, *, margin: int = 4, mirror: bool = True
) -> Tensor:
    """Shift every image by up to `margin` pixels each way and, with `mirror`, mirror half of them.

    Takes and returns uint8 `(n, H, W, 3)`. What a shift uncovers is filled by reflection: a black
    border would be a mark that only training images carry.
    """
    n, height, width, _ = images.shape
    rows = torch.arange(height) + _offsets(n, margin, generator)
    columns = torch.arange(width) + _offsets(n, margin, generator)
    mirrored = (torch.rand(n, 1, generator=generator) < 0.5) & mirror
    columns = torch.where(mirrored, columns.flip(1), columns)
    at = torch.arange(n)[:, None, None]
    return images[at, _reflect(rows, height)[:, :, None], _reflect(columns, width)[:, None, :]]


def random_blur(pixels: Tensor, generator: torch.Generator, *, largest: float) -> Tensor:
    """Mix each image with its 3x3 binomial blur, the weight drawn uniformly from [0, `largest`].

    Takes and returns float32 `(n, 3, H, W)`. Data sets shrunk by different means differ in
    sharpness; without this a network may learn sharpness in place of content.
    """
    weight = torch.rand(len(pixels), 1, 1, 1, generator=generator) * largest
    return torch.lerp(pixels, blur(pixels), weight)


def blur(pixels: Tensor) -> Tensor:
    """Blur float `(n, 3, H, W)` with the separable kernel [1 2 1] / 4, edges reflected."""
    padded = torch.nn.functional.pad(pixels, (1, 1, 1, 1), mode="reflect")
    rows = (padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]) / 4
    return (rows[:, :, :, :-2] + 2 * rows[:, :, :, 1:-1] + rows[:, :, :, 2:]) / 4


def vary(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Change colours and frame of float `(n, 3, H, W)` so that what is left is the content.

    Each image is, with one chance in two each and independently, turned to grey, inverted, given
    another brightness and contrast, and put in a frame of one level. A network that has seen
    outliers in the colours of photographs alone takes any other picture for an inlier.
    """
    n = len(pixels)

    def chosen() -> Tensor:
        return torch.rand(n, 1, 1, 1, generator=generator) < 0.5

    def drawn(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, 1, 1, 1, generator=generator)

    pixels = torch.where(chosen(), pixels.mean(dim=1, keepdim=True), pixels)
    pixels = torch.where(chosen(), 1 - pixels, pixels)
    contrasted = (drawn(0.3, 2.0) * (pixels - 0.5) + 0.5 + drawn(-0.3, 0.3)).clamp(0, 1)
    pixels = torch.where(chosen(), contrasted, pixels)
    height, width = pixels.shape[2:]
    share = drawn(0.0, 0.25)
    rows = torch.linspace(0, 1, height).view(1, 1, height, 1)
    columns = torch.linspace(0, 1, width).view(1, 1, 1, width)
    framed = torch.minimum(torch.minimum(rows, 1 - rows), torch.minimum(columns, 1 - columns))
    return torch.where(chosen() & (framed < share), drawn(0, 1).round(), pixels)


def augment_inliers(images: Tensor, generator: torch.Generator, *, mirror: bool = True) -> Tensor:
    """Turn a uint8 batch `(n, H, W, 3)` into float32 training pixels `(n, 3, H, W)`."""
    return to_pixels(shift_and_mirror(images, generator, mirror=mirror))


def _offsets(n: int, margin: int, generator: torch.Generator) -> Tensor:
    return torch.randint(-margin, margin + 1, (n, 1), generator=generator)


def _reflect(index: Tensor, size: int) -> Tensor:
    return (size - 1) - ((size - 1) - index.abs()).abs()
