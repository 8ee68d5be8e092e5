"""Synthetic outliers: number, range and reproducibility, and the properties of each generator."""

import pytest
import torch
from torch import Tensor

from oodguard.training.data.synthetic import (
    GENERATORS,
    SyntheticGenerator,
    coloured_noise,
    dead_leaves,
    mixture,
    patch_shuffle,
    synthetic_outliers,
)

ALL_GENERATORS = pytest.mark.parametrize("generate", GENERATORS.values(), ids=GENERATORS)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inliers(n: int = 12, height: int = 16, width: int = 16) -> Tensor:
    size = (n, height, width, 3)
    return torch.randint(0, 256, size, generator=seeded(9)).to(torch.uint8)


@ALL_GENERATORS
@pytest.mark.parametrize("size", [(16, 16), (30, 17)])
def test_one_image_per_inlier_in_the_pixel_range(
    generate: SyntheticGenerator, size: tuple[int, int]
) -> None:
    images = generate(inliers(5, *size), seeded())
    assert images.shape == (5, 3, *size)
    assert images.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1


@ALL_GENERATORS
def test_seed_determines_the_images_which_differ(generate: SyntheticGenerator) -> None:
    given = inliers()
    images = generate(given, seeded())
    assert torch.equal(given, inliers())
    torch.testing.assert_close(images, generate(given, seeded()))
    assert not torch.equal(images, generate(given, seeded(1)))
    assert all(not torch.equal(images[0], other) for other in images[1:])


def test_patch_shuffle_permutes_the_pixels() -> None:
    images = inliers(3, 18, 16)
    before, after = images.permute(0, 3, 1, 2) / 255, patch_shuffle(images, seeded())
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one.flatten(1).sort().values, other.flatten(1).sort().values)
    torch.testing.assert_close(after[:, :, 16:], before[:, :, 16:])  # beyond 4 patches of 4 rows
    assert not torch.equal(after[:, :, :16], before[:, :, :16])


def test_dead_leaves_have_flat_regions_and_edges() -> None:
    images = dead_leaves(inliers(20, 32, 32), seeded())
    equal_neighbours = (images[..., 1:] == images[..., :-1]).all(dim=1).float().mean()
    assert 0.5 < equal_neighbours < 1


def test_coloured_noise_ranges_from_white_to_smooth() -> None:
    images = coloured_noise(inliers(60, 32, 32), seeded())
    roughness = (images[..., 1:] - images[..., :-1]).std(dim=(1, 2, 3)) / images.std(dim=(1, 2, 3))
    # Neighbours are independent in white noise, which gives sqrt(2), and nearly equal in clouds.
    assert roughness.max() > 1.2
    assert roughness.min() < 0.3


def test_mixture_of_one_flat_image_is_flat() -> None:
    flat = torch.full((1, 8, 8, 3), 90, dtype=torch.uint8)
    assert mixture(flat, seeded()).std() < 1e-6


@pytest.mark.parametrize("n", [1, 4, 6, 13])
def test_one_synthetic_outlier_per_inlier(n: int) -> None:
    assert synthetic_outliers(inliers(n), seeded()).shape == (n, 3, 16, 16)


def test_small_batches_use_every_generator() -> None:
    # From a flat inlier some generators give a constant image and others do not. Over many draws
    # both kinds occur.
    flat = torch.full((1, 16, 16, 3), 90, dtype=torch.uint8)
    constant = [bool(synthetic_outliers(flat, seeded(seed)).std() < 1e-6) for seed in range(40)]
    assert any(constant)
    assert not all(constant)
