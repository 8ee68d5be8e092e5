"""Endless batches of outliers as a recipe mixes them: real ones, varied ones, made ones."""

from collections.abc import Iterator

import torch
from torch import Tensor

from oodguard.training.config.sources import Outliers
from oodguard.training.data.augment import augment_inliers, random_blur, vary
from oodguard.training.data.dataset import ImageSet
from oodguard.training.data.synthetic import synthetic_outliers


def outlier_batches(
    settings: Outliers,
    pool: ImageSet | None,
    inliers: ImageSet,
    *,
    size: int,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Yield pixels `(size, 3, H, W)` in [0, 1] for ever; a pool's last batch may be smaller.

    `pool` holds the real outliers, and is None where all are synthetic. Synthetic ones are made
    from `inliers` of which some are drawn anew for each batch.
    """
    made = round(size * settings.synthetic)
    real = _real(settings, pool, size=size - made, generator=generator) if pool else None
    while True:
        parts = [next(real)] if real else []
        if made:
            chosen = torch.randint(len(inliers), (made,), generator=generator)
            parts.append(synthetic_outliers(inliers.images[chosen], generator))
        yield random_blur(torch.cat(parts), generator, largest=settings.blur)


def _real(
    settings: Outliers, pool: ImageSet, *, size: int, generator: torch.Generator
) -> Iterator[Tensor]:
    while True:
        order = torch.randperm(len(pool), generator=generator)
        for chosen in order.split(size):
            pixels = augment_inliers(pool.images[chosen], generator)
            if settings.vary:
                changed = torch.rand(len(pixels), 1, 1, 1, generator=generator) < settings.vary
                pixels = torch.where(changed, vary(pixels, generator), pixels)
            yield pixels
