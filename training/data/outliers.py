"""Endless outlier batches: real, varied and synthetic images as the recipe mixes them."""

from collections.abc import Iterator

import torch
from torch import Tensor

from oodguard.training.config.sources import Outliers
from oodguard.training.data.augment import augment, random_blur, vary
from oodguard.training.data.dataset import ImageSet
from oodguard.training.data.images import read_ahead
from oodguard.training.data.synthetic import synthetic_outliers


def outlier_batches(
    settings: Outliers | None,
    pool: ImageSet | None,
    inliers: ImageSet,
    *,
    size: int,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Yield batches of pixels `(size, 3, H, W)` in [0, 1] without end.

    `pool` are the real outliers, None if all are synthetic; the last batch of each pass over it may
    be smaller. Synthetic outliers are generated from inliers, drawn for each batch. Without
    settings every batch is empty.
    """
    if settings is None:
        empty = torch.empty(0, *inliers.images.shape[1:]).permute(0, 3, 1, 2)
        while True:
            yield empty
    synthetic = round(size * settings.synthetic)
    real = _real(settings, pool, size=size - synthetic, generator=generator) if pool else None
    while True:
        parts = [next(real)] if real else []
        if synthetic:
            rows = torch.randint(len(inliers), (synthetic,), generator=generator)
            parts.append(synthetic_outliers(inliers.images[rows], generator))
        yield random_blur(torch.cat(parts), generator, largest=settings.blur)


def _real(
    settings: Outliers, pool: ImageSet, *, size: int, generator: torch.Generator
) -> Iterator[Tensor]:
    while True:
        order = torch.randperm(len(pool), generator=generator)
        for images in read_ahead(pool.images, order.split(size)):
            pixels = augment(images, generator)
            if settings.vary:
                varied = torch.rand(len(pixels), 1, 1, 1, generator=generator) < settings.vary
                pixels = torch.where(varied, vary(pixels, generator), pixels)
            yield pixels
