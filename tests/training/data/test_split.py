"""The division of the inliers into training, validation and calibration images."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from oodguard.models.errors import RecipeError
from oodguard.models.manifest import InputSpec
from oodguard.sources.source import Source
from oodguard.training.config.sources import Inliers
from oodguard.training.data.dataset import ImageSet, load, split

SPEC = InputSpec(height=32, width=32)
CIFAR10 = Path(__file__).parents[2] / "data" / "cifar10"


def test_split_is_disjoint_complete_and_determined_by_the_seed() -> None:
    images = load(Source(folder=CIFAR10), SPEC)
    held_out = Inliers(folder=CIFAR10, validation=20, calibration=60)
    one, two = (split(images, held_out, seed=5) for _ in range(2))
    assert (len(one.validation), len(one.calibration), len(one.training)) == (20, 60, 120)
    assert torch.equal(one.calibration.images[:], two.calibration.images[:])
    parts = torch.cat([one.training.images[:], one.validation.images[:], one.calibration.images[:]])
    assert len(parts.flatten(1).unique(dim=0)) == len(images.images[:].flatten(1).unique(dim=0))
    other = split(images, held_out, seed=6)
    assert not torch.equal(one.calibration.images[:], other.calibration.images[:])


def test_holding_out_more_than_half_is_an_error() -> None:
    images = load(Source(folder=CIFAR10), SPEC)
    held_out = Inliers(folder=CIFAR10, validation=50, calibration=60)
    with pytest.raises(RecipeError, match="is 110, expected at most half of 200 images"):
        split(images, held_out, seed=0)


def test_images_of_one_group_are_in_one_part() -> None:
    groups = torch.arange(400) // 7  # 57 groups of seven, and one image
    images = ImageSet(
        name="film",
        images=torch.stack([torch.arange(400) // 256, torch.arange(400), groups], 1)
        .view(400, 1, 1, 3)
        .to(torch.uint8),
        labels=groups % 2,
        classes=("a", "b"),
        groups=groups,
    )
    held_out = Inliers(table=Path("x"), validation=20, calibration=100, group="film")
    parts = split(images, held_out, seed=5)
    kinds = [parts.validation, parts.calibration, parts.training]
    seen = [set(part.groups.tolist()) for part in kinds if part.groups is not None]
    assert len(seen) == 3
    assert not seen[0] & seen[1]
    assert not (seen[0] | seen[1]) & seen[2]
    assert sum(len(part) for part in kinds) == 400
    assert 20 <= len(parts.validation) < 27
    assert 100 <= len(parts.calibration) < 114


def test_split_with_a_class_that_is_held_out_whole_is_refused() -> None:
    """One group has all images of the class b, and is held out with one of the seeds."""
    groups = torch.where(torch.arange(250) < 100, 0, torch.arange(250))
    images = replace(_numbered(torch.arange(250)), labels=(groups == 0).long(), groups=groups)
    held_out = Inliers(table=Path("x"), validation=30, calibration=90, group="film")
    message = r"1 of 2 classes in .* all of their images in validation .*, which have whole groups"
    refused = 0
    for seed in range(20):
        try:
            split(images, held_out, seed=seed)
        except RecipeError as error:
            assert re.search(message, str(error))  # noqa: PT017
            refused += 1
    assert 0 < refused < 20


def _numbered(numbers: torch.Tensor) -> ImageSet:
    """Return images whose pixels are their number; classes alternate."""
    images = numbers.view(-1, 1, 1, 1).expand(-1, 1, 1, 3).to(torch.uint8)
    labels = torch.arange(len(numbers)) % 2
    return ImageSet(name="photos", images=images, labels=labels, classes=("a", "b"))


def test_held_out_images_that_are_copies_of_trained_ones_are_left_out() -> None:
    """30 of 200 images are copies of the first 30, at other places and with any label."""
    numbers = torch.cat([torch.arange(170), torch.arange(30)])
    held_out = Inliers(folder=Path("photos"), validation=20, calibration=70)
    parts = split(_numbered(numbers), held_out, seed=5)
    training, validation, calibration = (
        part.images[:, 0, 0, 0].tolist()
        for part in (parts.training, parts.validation, parts.calibration)
    )
    # The split of images without copies, from which only held-out images are left out.
    order = torch.randperm(200, generator=torch.Generator().manual_seed(5))
    drawn = numbers[order].tolist()
    assert training == drawn[90:]
    assert validation == [each for each in drawn[:20] if each not in drawn[90:]]
    others = drawn[:20] + drawn[90:]
    assert calibration == [each for each in drawn[20:90] if each not in others]
    copies = parts.copies.images[:][:, 0, 0, 0].tolist()
    assert sorted(copies + validation + calibration) == sorted(drawn[:90])
    assert len(parts.copies) == 90 - len(validation) - len(calibration) > 0


def test_split_without_calibration_images_that_are_no_copies_is_an_error() -> None:
    held_out = Inliers(folder=Path("photos"), validation=1, calibration=20)
    with pytest.raises(
        RecipeError, match=r"of the 21 held-out images in photos, as copies .* 20\."
    ):
        split(_numbered(torch.arange(60) % 30), held_out, seed=5)
