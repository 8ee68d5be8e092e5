"""Vectorised augmentation of uint8 batches: shift and mirror for all, blur for outliers."""

import torch
from torch import Tensor

from training.data import to_pixels


def shift_and_mirror(images: Tensor, generator: torch.Generator, *, margin: int = 4) -> Tensor:
    """Shift every image by up to `margin` pixels each way and mirror half of them.

    Takes and returns uint8 `(n, H, W, 3)`. What a shift uncovers is filled by reflection: a black
    border would be a mark that only training images carry.
    """
    n, height, width, _ = images.shape
    rows = torch.arange(height) + _offsets(n, margin, generator)
    columns = torch.arange(width) + _offsets(n, margin, generator)
    mirrored = torch.rand(n, 1, generator=generator) < 0.5
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


def augment_inliers(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn a uint8 batch `(n, H, W, 3)` into float32 training pixels `(n, 3, H, W)`."""
    return to_pixels(shift_and_mirror(images, generator))


def augment_outliers(images: Tensor, generator: torch.Generator, *, largest_blur: float) -> Tensor:
    """The same for outliers, whose sharpness is varied as well."""
    return random_blur(augment_inliers(images, generator), generator, largest=largest_blur)


def _offsets(n: int, margin: int, generator: torch.Generator) -> Tensor:
    return torch.randint(-margin, margin + 1, (n, 1), generator=generator)


def _reflect(index: Tensor, size: int) -> Tensor:
    return (size - 1) - ((size - 1) - index.abs()).abs()
