"""Synthetic outliers, for users without a second data set.

Every generator maps inliers `(n, H, W, 3)` uint8 and a random generator to n float32 images
`(n, 3, H, W)` in [0, 1] that show none of the inliers' classes. Some use only the number and the
size of the inliers; others remove the recognizable content and so stay close in texture or colour.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812  (its conventional name)

from oodguard.training.data.augment import coin_flips, uniform
from oodguard.training.data.dataset import to_pixels

LEAVES = 24

KNOTS = 6
"""The displacement of `distortion` is interpolated between this many points along each side."""

DISPLACEMENT = 0.6
"""The standard deviation of that displacement, as a multiple of half the image's side."""

ITERATIONS = 20
MIXED_IMAGES = 3

PATCHES = 4
"""The number of shuffled patches along each side."""


def dead_leaves(inliers: Tensor, generator: Generator) -> Tensor:
    """Draw discs and squares of power-law size that occlude one another.

    Their edges and areas have statistics close to those of photographs (Lee, Mumford and Huang
    2001), so networks learn from them as from photographs (Baradad et al. 2021, arXiv:2106.05963).
    """
    n, height, width, _ = inliers.shape
    rows = torch.linspace(0, 1, height).view(1, height, 1)
    columns = torch.linspace(0, 1, width).view(1, 1, width)
    # Radii with density r^-3 between the smallest and the largest, by inversion.
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
        is_disc = disc[:, leaf, None, None]
        distance = torch.where(is_disc, down + across, torch.maximum(down, across))
        inside = distance < radius[:, leaf, None, None] ** 2
        pixels = torch.where(inside[:, None], colour[:, leaf], pixels)
    return pixels


def julia(inliers: Tensor, generator: Generator) -> Tensor:
    """Draw Julia sets of z^2 + c, coloured by the number of iterations until a point escapes."""
    n, height, width, _ = inliers.shape
    zoom = uniform(n, 0.3, 1.5, generator)
    x = torch.linspace(-1, 1, width).view(1, 1, 1, width) * zoom + uniform(n, -0.5, 0.5, generator)
    y = torch.linspace(-1, 1, height).view(1, 1, height, 1) * zoom
    y = y + uniform(n, -0.5, 0.5, generator)
    x, y = torch.broadcast_tensors(x, y)
    # c is near the boundary of the Mandelbrot set's main cardioid, where Julia sets are intricate.
    angle = uniform(n, 0, 2 * math.pi, generator)
    swell = uniform(n, 1.0, 1.1, generator)
    real = swell * (torch.cos(angle) / 2 - torch.cos(2 * angle) / 4)
    imaginary = swell * (torch.sin(angle) / 2 - torch.sin(2 * angle) / 4)
    escaped = torch.zeros_like(x)
    for _ in range(ITERATIONS):
        x, y = x * x - y * y + real, 2 * x * y + imaginary
        x, y = x.clamp(-4, 4), y.clamp(-4, 4)  # escaped points stay outside, and finite
        escaped = escaped + (x * x + y * y > 4)
    return _cosine_palette(escaped / ITERATIONS, generator)


def coloured_noise(inliers: Tensor, generator: Generator) -> Tensor:
    """Draw noise with the power spectrum 1 / f^a, from white (a = 0) to clouds (a = 4)."""
    n, height, width, _ = inliers.shape
    white = torch.randn(n, 3, height, width, generator=generator)
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    frequency = torch.sqrt(down**2 + across**2)
    frequency[0, 0] = frequency[0, 1]  # avoids 1 / 0; `_restretch` sets the mean
    amplitude = frequency ** (-2 * torch.rand(n, 1, 1, 1, generator=generator))
    shaped = torch.fft.irfft2(torch.fft.rfft2(white) * amplitude, s=(height, width))
    # Mixing correlates the channels, as in photographs.
    mixed = torch.einsum("nij,njhw->nihw", torch.rand(n, 3, 3, generator=generator), shaped)
    return _restretch(mixed, generator)


def patch_shuffle(inliers: Tensor, generator: Generator) -> Tensor:
    """Shuffle the 4 x 4 patches of each inlier: its texture without its object.

    Rows and columns beyond a multiple of the patch size do not move. Images with a side of less
    than four pixels are not changed.
    """
    n, height, width, _ = inliers.shape
    tall, wide = height // PATCHES, width // PATCHES
    order = torch.rand(n, PATCHES * PATCHES, generator=generator).argsort(dim=1)
    pixels = to_pixels(inliers).contiguous()
    body = pixels[:, :, : tall * PATCHES, : wide * PATCHES]
    patches = body.reshape(n, 3, PATCHES, tall, PATCHES, wide).permute(0, 2, 4, 1, 3, 5)
    patches = patches.reshape(n, PATCHES * PATCHES, 3, tall, wide)
    shuffled = patches[torch.arange(n)[:, None], order]
    shuffled = shuffled.reshape(n, PATCHES, PATCHES, 3, tall, wide).permute(0, 3, 1, 4, 2, 5)
    pixels[:, :, : tall * PATCHES, : wide * PATCHES] = shuffled.reshape(body.shape)
    return pixels


def distortion(inliers: Tensor, generator: Generator) -> Tensor:
    """Warp each inlier smoothly beyond recognition, and permute or invert its colours."""
    n, height, width, _ = inliers.shape
    knots = DISPLACEMENT * torch.randn(n, 2, KNOTS, KNOTS, generator=generator)
    displacement = F.interpolate(knots, (height, width), mode="bicubic", align_corners=True)
    identity = torch.eye(2, 3).expand(n, 2, 3)
    grid = F.affine_grid(identity, [n, 3, height, width], align_corners=False)
    warped = F.grid_sample(
        to_pixels(inliers),
        grid + displacement.permute(0, 2, 3, 1),
        padding_mode="reflection",
        align_corners=False,
    )
    order = torch.rand(n, 3, generator=generator).argsort(dim=1)
    recoloured = warped[torch.arange(n)[:, None], order]
    inverted = coin_flips(n, generator)
    return _restretch(torch.where(inverted, 1 - recoloured, recoloured), generator)


def mixture(inliers: Tensor, generator: Generator) -> Tensor:
    """Average each inlier with two others, flipped, and restore the contrast.

    In a batch of one image the image is averaged with its own flips.
    """
    pixels = to_pixels(inliers)
    total = pixels
    for _ in range(MIXED_IMAGES - 1):
        others = pixels[torch.randperm(len(pixels), generator=generator)]
        flipped = coin_flips(len(pixels), generator)
        total = total + torch.where(flipped, others.flip(2), others.flip(3))
    return _restretch(total / MIXED_IMAGES, generator)


SyntheticGenerator = Callable[[Tensor, Generator], Tensor]

GENERATORS: Mapping[str, SyntheticGenerator] = {
    "dead-leaves": dead_leaves,
    "julia": julia,
    "coloured-noise": coloured_noise,
    "patch-shuffle": patch_shuffle,
    "distortion": distortion,
    "mixture": mixture,
}


def synthetic_outliers(inliers: Tensor, generator: Generator) -> Tensor:
    """Generate one outlier `(n, 3, H, W)` in [0, 1] per inlier, in equal parts of every generator.

    The first generator is drawn at random, so that batches smaller than the number of generators
    use all of them equally often.
    """
    generators = list(GENERATORS.values())
    first = int(torch.randint(len(generators), (1,), generator=generator))
    parts = inliers.tensor_split(len(generators))
    return torch.cat(
        [
            generators[(first + index) % len(generators)](part, generator)
            for index, part in enumerate(parts)
            if len(part)
        ]
    )


def _restretch(pixels: Tensor, generator: Generator) -> Tensor:
    """Set the mean and the contrast of every image `(n, C, H, W)` at random, clipped to [0, 1]."""
    n = len(pixels)
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    deviation = pixels.std(dim=(1, 2, 3), keepdim=True).clamp_min(1e-6)
    contrast = uniform(n, 0.08, 0.35, generator)
    centre = uniform(n, 0.25, 0.75, generator)
    return ((pixels - mean) / deviation * contrast + centre).clamp(0, 1)


def _cosine_palette(values: Tensor, generator: Generator) -> Tensor:
    """Map `(n, 1, H, W)` in [0, 1] to colours `(n, 3, H, W)` of a random cosine palette."""
    n = len(values)
    turns = 0.5 + 1.5 * torch.rand(n, 3, 1, 1, generator=generator)
    phase = torch.rand(n, 3, 1, 1, generator=generator)
    return 0.5 + 0.5 * torch.cos(2 * math.pi * (turns * values + phase))
