"""Every generator: pixels in range, as many as asked for, and repeatable by its seed."""

import pytest
import torch
from torch import Tensor

from oodguard.training.data.synthetic import (
    GENERATORS,
    Maker,
    coloured_noise,
    dead_leaves,
    mixture,
    patch_shuffle,
    synthetic_outliers,
)

MAKERS = pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inliers(n: int = 12, height: int = 16, width: int = 16) -> Tensor:
    size = (n, height, width, 3)
    return torch.randint(0, 256, size, generator=seeded(9)).to(torch.uint8)


@MAKERS
@pytest.mark.parametrize("size", [(16, 16), (30, 17)])
def test_one_image_for_each_inlier_in_the_pixel_range(make: Maker, size: tuple[int, int]) -> None:
    made = make(inliers(5, *size), seeded())
    assert made.shape == (5, 3, *size)
    assert made.dtype == torch.float32
    assert made.min() >= 0
    assert made.max() <= 1


@MAKERS
def test_the_seed_decides(make: Maker) -> None:
    torch.testing.assert_close(make(inliers(), seeded()), make(inliers(), seeded()))
    assert not torch.equal(make(inliers(), seeded()), make(inliers(), seeded(1)))


@MAKERS
def test_the_images_of_a_batch_differ(make: Maker) -> None:
    made = make(inliers(), seeded())
    assert all(not torch.equal(made[0], other) for other in made[1:])


@MAKERS
def test_the_inliers_are_not_touched(make: Maker) -> None:
    images = inliers()
    make(images, seeded())
    assert torch.equal(images, inliers())


def test_shuffling_patches_moves_pixels_and_loses_none() -> None:
    images = inliers(3, 18, 16)
    before, after = images.permute(0, 3, 1, 2) / 255, patch_shuffle(images, seeded())
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one.flatten(1).sort().values, other.flatten(1).sort().values)
    torch.testing.assert_close(after[:, :, 16:], before[:, :, 16:])  # beyond 4 patches of 4 rows
    assert not torch.equal(after[:, :, :16], before[:, :, :16])


def test_dead_leaves_are_flat_regions_with_edges() -> None:
    made = dead_leaves(inliers(20, 32, 32), seeded())
    equal_neighbours = (made[..., 1:] == made[..., :-1]).all(dim=1).float().mean()
    assert 0.5 < equal_neighbours < 1


def test_coloured_noise_spans_white_and_cloudy() -> None:
    made = coloured_noise(inliers(60, 32, 32), seeded())
    roughness = (made[..., 1:] - made[..., :-1]).std(dim=(1, 2, 3)) / made.std(dim=(1, 2, 3))
    # Neighbours in white noise are independent, which gives sqrt(2); in clouds they nearly agree.
    assert roughness.max() > 1.2
    assert roughness.min() < 0.3


def test_a_mixture_of_one_flat_image_is_flat() -> None:
    flat = torch.full((1, 8, 8, 3), 90, dtype=torch.uint8)
    assert mixture(flat, seeded()).std() < 1e-6


@pytest.mark.parametrize("n", [1, 4, 6, 13])
def test_a_blend_has_as_many_images_as_inliers(n: int) -> None:
    assert synthetic_outliers(inliers(n), seeded()).shape == (n, 3, 16, 16)


def test_small_blends_use_every_generator_in_time() -> None:
    # One flat inlier: what is constant comes from a generator that keeps it, what is not from one
    # that invents. Over many draws both must come.
    flat = torch.full((1, 16, 16, 3), 90, dtype=torch.uint8)
    constant = [bool(synthetic_outliers(flat, seeded(seed)).std() < 1e-6) for seed in range(40)]
    assert any(constant)
    assert not all(constant)
