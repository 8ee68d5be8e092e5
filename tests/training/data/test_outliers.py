from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from oodguard.training.config.sources import Outliers
from oodguard.training.data.dataset import ImageSet
from oodguard.training.data.outliers import outlier_batches


def _set(level: int, n: int) -> ImageSet:
    return ImageSet(
        name="flat",
        images=torch.full((n, 8, 8, 3), level, dtype=torch.uint8),
        labels=torch.zeros(n, dtype=torch.int64),
        classes=(),
    )


def _batches(pool: ImageSet | None, size: int, **settings: object) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    outliers = Outliers.model_validate(settings)
    return outlier_batches(
        outliers, pool, _set(0, 30), size=size, order=generator, generator=generator
    )


def test_batch_is_from_the_pool_without_synthetic_outliers() -> None:
    batch = next(_batches(_set(51, 20), 8, folder="x"))
    torch.testing.assert_close(batch, torch.full((8, 3, 8, 8), 0.2))


def test_synthetic_share_follows_the_real_outliers() -> None:
    batch = next(_batches(_set(51, 20), 8, folder="x", synthetic=0.25))
    assert batch.shape == (8, 3, 8, 8)
    real = (batch - 0.2).abs().amax(dim=(1, 2, 3)) < 1e-6
    assert real.tolist() == [True] * 6 + [False] * 2


def test_synthetic_outliers_alone_need_no_pool() -> None:
    assert next(_batches(None, 8, synthetic=1.0)).shape == (8, 3, 8, 8)


def test_each_pass_over_the_pool_is_complete_and_in_a_new_order() -> None:
    levels = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1) * 10
    pool = replace(_set(0, 6), images=levels.expand(6, 8, 8, 3))
    batches = _batches(pool, 4, folder="x")
    passes = [torch.cat([next(batches), next(batches)])[:, 0, 0, 0] for _ in range(2)]
    for seen in passes:
        torch.testing.assert_close(seen.sort().values, torch.arange(6) * 10 / 255)
    assert not torch.equal(*passes)


def test_share_of_varied_outliers_is_the_configured_one() -> None:
    batch = next(_batches(_set(51, 400), 400, folder="x", vary=0.5))
    kept = ((batch - 0.2).abs().amax(dim=(1, 2, 3)) < 1e-6).float().mean().item()
    # Half are varied. These are grey already, so one in eight is not changed by the other three.
    assert abs(kept - (0.5 + 0.5 / 8)) < 0.08


def test_order_of_the_pool_is_independent_of_the_generator_that_augments() -> None:
    levels = torch.arange(40, dtype=torch.uint8)
    pool = replace(_set(0, 40), images=levels[:, None, None, None].expand(40, 8, 8, 3).clone())

    def order(seed: int) -> list[float]:
        batches = outlier_batches(
            Outliers.model_validate({"folder": "x", "blur": 0.5}),
            pool,
            _set(0, 30),
            size=16,
            order=torch.Generator().manual_seed(0),
            generator=torch.Generator().manual_seed(seed),
        )
        return [level for _ in range(3) for level in (next(batches) * 255).mean((1, 2, 3)).tolist()]

    assert order(1) == pytest.approx(order(2), abs=1e-3)
    assert sorted(order(1)) == pytest.approx(list(range(40)), abs=1e-3)
