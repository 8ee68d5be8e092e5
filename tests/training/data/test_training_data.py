"""The images that a run trains and validates on, and the removal of duplicates."""

from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

from oodguard.models.errors import RecipeError
from oodguard.training.config.recipe import Recipe
from oodguard.training.data.dataset import ImageSet
from oodguard.training.data.images import fingerprints
from oodguard.training.data.training_data import (
    TrainingData,
    read_training_data,
    remove_inliers,
)
from oodguard.training.fit.trainer import Trainer
from tests.sources.picture_files import encoded
from tests.training.recipes import DATA, RECIPE, parsed

POOL = len(list((DATA / "outliers").rglob("*.png")))


def _fail(message: str) -> None:
    raise AssertionError(message)


def _validated(recipe: Recipe, data: TrainingData) -> torch.Tensor:
    """Return the outliers of robust validation, uint8 `(n, H, W, 3)`."""
    outliers = Trainer(recipe, data).validation.outliers
    assert outliers is not None
    return outliers


def test_held_out_outliers_are_the_last_of_the_pool_and_are_validated() -> None:
    recipe = parsed(RECIPE)
    whole = read_training_data(recipe, _fail)
    assert whole.outliers is not None
    assert whole.held_out is None
    validated = _validated(recipe, whole)
    assert torch.equal(validated, whole.outliers.images[: len(validated)])
    recipe = parsed(RECIPE.replace("blur", "validation = 7\nblur"))
    data = read_training_data(recipe, _fail)
    assert data.outliers is not None
    assert data.held_out is not None
    assert torch.equal(data.outliers.images[:], whole.outliers.images[:-7])
    assert torch.equal(data.held_out.images[:], whole.outliers.images[-7:])
    assert torch.equal(_validated(recipe, data), data.held_out.images[:])


@pytest.mark.parametrize(
    ("held_out", "left_out", "kept"), [([9, 0, 0, 7], 2, [9, 7]), ([0], 1, [])]
)
def test_held_out_copies_of_training_outliers_are_left_out_with_a_warning(
    tmp_path: Path, held_out: list[int], left_out: int, kept: list[int]
) -> None:
    table = pyarrow.table({"image": [encoded(number) for number in [*range(6), *held_out]]})
    pyarrow.parquet.write_table(table, tmp_path / "pool.parquet")
    keys = f'parquet = "{tmp_path / "pool.parquet"}"\nvalidation = {len(held_out)}'
    recipe = parsed(RECIPE.replace(f'folder = "{DATA / "outliers"}"', keys))
    warnings: list[str] = []
    if not kept:
        with pytest.raises(
            RecipeError, match=r"outliers\.validation is 1, and the pixels of these"
        ):
            read_training_data(recipe, warnings.append)
        return
    data = read_training_data(recipe, warnings.append)
    assert data.held_out is not None
    assert data.held_out.images[:, 0, 0, 0].tolist() == kept
    (warning,) = warnings
    assert warning.startswith(f"outliers: left out {left_out} of the {len(held_out)} images of")


def test_holding_out_more_than_half_of_the_outliers_is_an_error() -> None:
    text = RECIPE.replace("blur", f"validation = {POOL}\nblur")
    with pytest.raises(RecipeError, match=rf"outliers\.validation is {POOL}, expected at most hal"):
        read_training_data(parsed(text), _fail)


def test_holding_out_synthetic_outliers_is_an_error() -> None:
    text = RECIPE.replace(f'folder = "{DATA / "outliers"}"', "synthetic = 1.0\nvalidation = 7")
    with pytest.raises(RecipeError, match="validation is 7, expected 0 where synthetic = 1"):
        parsed(text)


def _set(name: str, images: torch.Tensor) -> ImageSet:
    labels = torch.arange(len(images))
    return ImageSet(name=name, images=images, labels=labels, classes=("a", "b"))


def _images(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 8, 8, 3), dtype=torch.uint8, generator=generator)


def test_fingerprints_are_equal_for_equal_images_only() -> None:
    images = _images(1, 0).repeat(3, 1, 1, 1)
    images[2, 7, 7, 2] ^= 1
    one, two, three = fingerprints(images).tolist()
    assert one == two != three
    image = images[:1]
    assert fingerprints(image) != fingerprints(image.transpose(1, 2).contiguous())


def test_copies_of_inliers_are_removed_with_a_warning() -> None:
    inliers, outliers = _images(6, 1), _images(5, 2)
    outliers[1], outliers[4] = inliers[5], inliers[5]
    outliers[3] = inliers[0]
    outliers[3, 0, 0, 0] ^= 1  # not an exact copy
    is_copy = np.isin(fingerprints(outliers), fingerprints(inliers))
    remaining, copies = remove_inliers(
        _set("pool", outliers), _set("known", inliers), is_copy=is_copy
    )
    assert remaining.labels.tolist() == [0, 2, 3]
    assert torch.equal(remaining.images[:], outliers[[0, 2, 3]])
    assert copies.labels.tolist() == [1, 4]


def test_outliers_without_copies_are_returned_without_a_warning() -> None:
    pool = _set("pool", _images(5, 2))
    known = _set("known", _images(6, 1))
    assert remove_inliers(pool, known, is_copy=np.zeros(5, np.bool_))[0] is pool


def test_outliers_that_are_all_copies_are_an_error() -> None:
    images = _images(3, 0)
    with pytest.raises(
        RecipeError, match=r"every image of pool \(3 in all\) is also in known, expected"
    ):
        remove_inliers(_set("pool", images), _set("known", images), is_copy=np.ones(3, np.bool_))
