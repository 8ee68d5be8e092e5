"""Endless outlier batches: real, varied and synthetic images as the recipe mixes them."""

from collections.abc import Iterator

import torch
from torch import Tensor

from oodguard.training.config.sources import Outliers
from oodguard.training.data.augment import augment, random_blur, uniform, vary
from oodguard.training.data.dataset import ImageSet
from oodguard.training.data.images import read_ahead
from oodguard.training.data.synthetic import synthetic_outliers


def outlier_batches(  # noqa: PLR0913  (by keyword)
    settings: Outliers | None,
    pool: ImageSet | None,
    inliers: ImageSet,
    *,
    size: int,
    order: torch.Generator,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Yield batches of pixels `(size, 3, H, W)` in [0, 1] without end, on the generator's device.

    `order` is on the CPU: it draws the order of the images and the synthetic ones. `generator`
    augments; on a CPU it may be the same.

    `pool` are the real outliers, None if all are synthetic; the last batch of each pass over it may
    be smaller. Synthetic outliers are generated from inliers, drawn for each batch. Without
    settings every batch is empty.
    """
    if settings is None:
        empty = torch.empty(0, *inliers.images.shape[1:], device=generator.device)
        empty = empty.permute(0, 3, 1, 2)
        while True:
            yield empty
    synthetic = round(size * settings.synthetic)
    real = _real(settings, pool, size - synthetic, order, generator) if pool else None
    while True:
        parts = [next(real)] if real else []
        if synthetic:
            rows = torch.randint(len(inliers), (synthetic,), generator=order)
            generated = synthetic_outliers(inliers.images[rows], order)
            parts.append(generated.to(generator.device))
        yield random_blur(torch.cat(parts), generator, largest=settings.blur)


def _real(
    settings: Outliers,
    pool: ImageSet,
    size: int,
    order: torch.Generator,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    while True:
        rows = torch.randperm(len(pool), generator=order)
        for images in read_ahead(pool.images, rows.split(size)):
            pixels = augment(images, generator)
            if settings.vary:
                varied = uniform(len(pixels), 0.0, 1.0, generator) < settings.vary
                pixels = torch.where(varied, vary(pixels, generator), pixels)
            yield pixels
