"""Vectorized augmentation of image batches: shift and mirror for all, more for outliers.

`augment` moves images to the device of the random generator; the others expect them there.
"""

import math

import torch
from torch import Generator, Tensor

from oodguard.training.data.dataset import to_pixels

MAX_ROTATION = math.radians(15)
MAX_ZOOM = 0.2
MAX_SHEAR = 0.2
MAX_CONTRAST = 0.5
MAX_BRIGHTNESS = 0.2


def augment(
    images: Tensor, generator: Generator, *, mirror: bool = True, distortion: float = 0.0
) -> Tensor:
    """Convert a uint8 batch `(n, H, W, 3)` to augmented float32 pixels `(n, 3, H, W)` in [0, 1].

    `distortion` is the strength of `distort`; 0 disables it. The images are moved to the device of
    the generator first: on the CPU that feeds a GPU, augmentation took a third of a step.
    """
    images = images.to(generator.device)
    pixels = to_pixels(shift_and_mirror(images, generator, mirror=mirror))
    return distort(pixels, generator, strength=distortion) if distortion else pixels


def shift_and_mirror(
    images: Tensor, generator: Generator, *, margin: int = 4, mirror: bool = True
) -> Tensor:
    """Shift each uint8 image `(n, H, W, 3)` by up to `margin` pixels, and mirror half of them.

    Uncovered borders are filled by reflection: a black border would mark training images.
    """
    n, height, width, _ = images.shape
    device = images.device
    rows = torch.arange(height, device=device) + _offsets(n, margin, generator)
    columns = torch.arange(width, device=device) + _offsets(n, margin, generator)
    mirrored = (torch.rand(n, 1, generator=generator, device=device) < 0.5) & mirror
    columns = torch.where(mirrored, columns.flip(1), columns)
    index = torch.arange(n, device=device)[:, None, None]
    return images[index, _reflect(rows, height)[:, :, None], _reflect(columns, width)[:, None, :]]


def _offsets(n: int, margin: int, generator: Generator) -> Tensor:
    return torch.randint(-margin, margin + 1, (n, 1), generator=generator, device=generator.device)


def _reflect(index: Tensor, size: int) -> Tensor:
    period = max(2 * (size - 1), 1)  # of an image of one pixel too
    return (size - 1) - ((size - 1) - index.abs() % period).abs()


def distort(pixels: Tensor, generator: Generator, *, strength: float) -> Tensor:
    """Rotate, zoom, shear and relight half of the images `(n, 3, H, W)` in [0, 1], at random.

    At `strength` 1 rotation is up to 15 degrees, zoom and shear up to 0.2, contrast changes by up
    to 0.5 and brightness by up to 0.2, drawn uniformly and independently; `strength` scales all of
    them. Borders are filled by reflection. The other half is not changed, because warping blurs.
    """
    chosen = coin_flips(len(pixels), generator)
    warped = warp(pixels, generator, strength=strength)
    return torch.where(chosen, relight(warped, generator, strength=strength), pixels)


def warp(pixels: Tensor, generator: Generator, *, strength: float) -> Tensor:
    """Apply a random affine map to each image `(n, 3, H, W)`, with bilinear interpolation."""
    draws = _symmetric(len(pixels), 4, generator) * strength
    angle, zoom, shear = draws[:, 0] * MAX_ROTATION, draws[:, 1], draws[:, 2:] * MAX_SHEAR
    cosine, sine = angle.cos(), angle.sin()
    scale = 1 + zoom * MAX_ZOOM
    matrix = torch.stack(
        [
            torch.stack([cosine, -sine + shear[:, 0], torch.zeros_like(angle)], dim=1),
            torch.stack([sine + shear[:, 1], cosine, torch.zeros_like(angle)], dim=1),
        ],
        dim=1,
    )
    grid = torch.nn.functional.affine_grid(
        matrix * scale[:, None, None], list(pixels.shape), align_corners=False
    )
    return torch.nn.functional.grid_sample(
        pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def relight(pixels: Tensor, generator: Generator, *, strength: float) -> Tensor:
    """Change the contrast about the mean and the brightness of each image `(n, 3, H, W)`."""
    draws = _symmetric(len(pixels), 2, generator)[:, :, None, None, None] * strength
    contrast, brightness = 1 + draws[:, 0] * MAX_CONTRAST, draws[:, 1] * MAX_BRIGHTNESS
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    return (contrast * (pixels - mean) + mean + brightness).clamp(0, 1)


def _symmetric(n: int, columns: int, generator: Generator) -> Tensor:
    """Draw `(n, columns)` uniformly from [-1, 1]."""
    return 2 * torch.rand(n, columns, generator=generator, device=generator.device) - 1


def random_blur(pixels: Tensor, generator: Generator, *, largest: float) -> Tensor:
    """Mix each image `(n, 3, H, W)` with its blur, with a weight drawn from [0, `largest`].

    Data sets that were downscaled by different methods differ in sharpness. Without this step a
    network may learn sharpness instead of content.
    """
    weight = uniform(len(pixels), 0.0, largest, generator)
    return torch.lerp(pixels, blur(pixels), weight)


def blur(pixels: Tensor) -> Tensor:
    """Blur `(n, 3, H, W)` with the separable binomial kernel [1 2 1] / 4 and reflected edges."""
    padded = torch.nn.functional.pad(pixels, (1, 1, 1, 1), mode="reflect")
    rows = (padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]) / 4
    return (rows[:, :, :, :-2] + 2 * rows[:, :, :, 1:-1] + rows[:, :, :, 2:]) / 4


def vary(pixels: Tensor, generator: Generator) -> Tensor:
    """Change the colours and the frame of images `(n, 3, H, W)`, but not their content.

    Each image is, independently and with probability 1/2 each, converted to grey, inverted, changed
    in brightness and contrast, and framed in black or white. A network that has seen only outliers
    with the colours of photographs accepts other images as inliers.
    """
    n = len(pixels)
    pixels = torch.where(coin_flips(n, generator), pixels.mean(dim=1, keepdim=True), pixels)
    pixels = torch.where(coin_flips(n, generator), 1 - pixels, pixels)
    contrast, brightness = uniform(n, 0.3, 2.0, generator), uniform(n, -0.3, 0.3, generator)
    relit = (contrast * (pixels - 0.5) + 0.5 + brightness).clamp(0, 1)
    pixels = torch.where(coin_flips(n, generator), relit, pixels)
    height, width = pixels.shape[2:]
    frame_width = uniform(n, 0.0, 0.25, generator)
    rows = torch.linspace(0, 1, height, device=pixels.device).view(1, 1, height, 1)
    columns = torch.linspace(0, 1, width, device=pixels.device).view(1, 1, 1, width)
    to_edge = torch.minimum(torch.minimum(rows, 1 - rows), torch.minimum(columns, 1 - columns))
    frame = coin_flips(n, generator) & (to_edge < frame_width)
    return torch.where(frame, uniform(n, 0, 1, generator).round(), pixels)


def uniform(n: int, low: float, high: float, generator: Generator) -> Tensor:
    """Draw `(n, 1, 1, 1)` uniformly from [`low`, `high`]."""
    draws = torch.rand(n, 1, 1, 1, generator=generator, device=generator.device)
    return low + (high - low) * draws


def coin_flips(n: int, generator: Generator) -> Tensor:
    """Draw `(n, 1, 1, 1)` booleans, each True with probability 1/2."""
    return torch.rand(n, 1, 1, 1, generator=generator, device=generator.device) < 0.5
