import re

import pytest
import torch

from oodguard.models.errors import RecipeError
from oodguard.training.data.dataset import ImageSet, fingerprints, without_inliers


def _set(name: str, images: torch.Tensor) -> ImageSet:
    labels = torch.arange(len(images))
    return ImageSet(name=name, images=images, labels=labels, classes=("a", "b"))


def _images(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 8, 8, 3), dtype=torch.uint8, generator=generator)


def test_equal_images_have_equal_fingerprints_and_one_bit_more_makes_another() -> None:
    images = _images(1, 0).repeat(3, 1, 1, 1)
    images[2, 7, 7, 2] ^= 1
    one, two, three = fingerprints(images).tolist()
    assert one == two != three


def test_images_that_share_every_value_in_another_order_differ() -> None:
    image = _images(1, 0)
    assert fingerprints(image) != fingerprints(image.transpose(1, 2).contiguous())
    assert fingerprints(image) == fingerprints(image.transpose(1, 2).transpose(1, 2))


def test_exact_copies_of_inliers_are_left_out_and_told_of() -> None:
    inliers, outliers = _images(6, 1), _images(5, 2)
    outliers[1], outliers[4] = inliers[5], inliers[5]
    outliers[3] = inliers[0]
    outliers[3, 0, 0, 0] ^= 1  # nearly
    told: list[str] = []
    left = without_inliers(_set("pool", outliers), _set("known", inliers), told.append)
    assert left.labels.tolist() == [0, 2, 3]
    assert torch.equal(left.images, outliers[[0, 2, 3]])
    (message,) = told
    assert "2 of the 5 images of pool are inliers as well (known, the same pixels)" in message


def test_of_sets_without_copies_nothing_is_said() -> None:
    told: list[str] = []
    pool = _set("pool", _images(5, 2))
    assert without_inliers(pool, _set("known", _images(6, 1)), told.append) is pool
    assert told == []


def test_outliers_that_are_all_inliers_are_refused() -> None:
    images = _images(3, 0)
    wanted = "every image of pool is one of known as well; wanted images of other things"
    with pytest.raises(RecipeError, match=re.escape(wanted)):
        without_inliers(_set("pool", images), _set("known", images), print)
