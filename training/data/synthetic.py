"""A batch of synthetic outliers, in equal parts of every generator."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from oodguard.training.data.dataset import to_pixels


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


KNOTS = 6  # the warp is smooth between as many points along each side

STRENGTH = 0.6  # standard deviation of the displacement, in halves of the image's side


def distortion(inliers: Tensor, generator: Generator) -> Tensor:
    """Turn `inliers` `(n, H, W, 3)` uint8 into warped pixels `(n, 3, H, W)` in [0, 1]."""
    n, height, width, _ = inliers.shape
    knots = STRENGTH * torch.randn(n, 2, KNOTS, KNOTS, generator=generator)
    displacement = F.interpolate(knots, (height, width), mode="bicubic", align_corners=True)
    identity = torch.eye(2, 3).expand(n, 2, 3)
    grid = F.affine_grid(identity, [n, 3, height, width], align_corners=False)
    bent = F.grid_sample(
        to_pixels(inliers),
        grid + displacement.permute(0, 2, 3, 1),
        padding_mode="reflection",
        align_corners=False,
    )
    order = torch.rand(n, 3, generator=generator).argsort(dim=1)
    recoloured = bent[torch.arange(n)[:, None], order]
    inverted = torch.rand(n, 1, 1, 1, generator=generator) < 0.5
    return stretch(torch.where(inverted, 1 - recoloured, recoloured), generator)


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


Maker = Callable[[Tensor, Generator], Tensor]

GENERATORS: Mapping[str, Maker] = {
    "dead-leaves": dead_leaves,
    "julia": julia,
    "coloured-noise": coloured_noise,
    "patch-shuffle": patch_shuffle,
    "distortion": distortion,
    "mixture": mixture,
}


def synthetic_outliers(inliers: Tensor, generator: Generator) -> Tensor:
    """Make one outlier for each of `inliers` `(n, H, W, 3)` uint8, as `(n, 3, H, W)` in [0, 1].

    The order of the generators is turned at random, so that a batch smaller than their number
    favours none in the long run.
    """
    makers = list(GENERATORS.values())
    turn = int(torch.randint(len(makers), (1,), generator=generator))
    parts = inliers.tensor_split(len(makers))
    return torch.cat(
        [
            makers[(turn + index) % len(makers)](part, generator)
            for index, part in enumerate(parts)
            if len(part)
        ]
    )
