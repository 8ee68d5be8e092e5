"""Copies of training images in other sources are found, named and left out."""

from pathlib import Path

import pytest

from oodguard.models.errors import RecipeError
from oodguard.sources.source import Source
from oodguard.training.data.card import Copies
from oodguard.training.data.copies import copies_warning, evaluation_notes, without_copies
from oodguard.training.data.dataset import load
from oodguard.training.data.training_data import read_training_data
from tests.sources.picture_files import SPEC, numbers, write
from tests.training.recipes import RECIPE, parsed


def test_held_out_copies_are_named_in_the_warning_and_in_the_notes(tmp_path: Path) -> None:
    """41 of 200 inliers and one outlier are equal."""
    for number in range(200):
        write(tmp_path / "photos" / f"{number % 2}" / f"{number}.png", number if number > 40 else 7)
    for number in range(12):
        write(tmp_path / "others" / f"{number}.png", 243 + number if number else 7)
    text = RECIPE.replace("tests/data", "").replace("height = 32", "height = 8")
    text = text.replace("width = 32", "width = 8").replace("batch_size = 30", "batch_size = 10")
    recipe = parsed(text)
    inliers = recipe.inliers.model_copy(update={"folder": tmp_path / "photos"})
    assert recipe.outliers is not None
    outliers = recipe.outliers.model_copy(update={"folder": tmp_path / "others"})
    recipe = recipe.model_copy(update={"inliers": inliers, "outliers": outliers})
    warnings: list[str] = []
    data = read_training_data(recipe, warnings.append)
    found = data.notes["inliers"].copies
    assert found is not None
    assert found.images == len(found.rows) > 3
    assert list(found.rows) == sorted(found.rows)
    everything = load(inliers, SPEC)
    assert {everything.images[row, 0, 0, 0].item() for row in found.rows} == {7}
    names = ", ".join(found.names)
    assert len(found.names) == 3
    assert all(0 <= int(Path(name).stem) <= 40 for name in found.names)
    assert f"equal those of training or validation images ({names}, ...). " in warnings[0]
    assert "outliers: removed 1 of the 12 images of others" in warnings[1]
    assert f"({tmp_path}/others/0.png)" in warnings[1]
    assert len(data.fingerprints) == 212


def test_evaluation_images_are_compared_with_every_inlier_and_outlier() -> None:
    """The test set of this recipe is its inliers."""
    recipe = parsed(RECIPE)
    warnings: list[str] = []
    data = read_training_data(recipe, warnings.append)
    notes = evaluation_notes(recipe, data.fingerprints, warnings.append)
    copies = notes["evaluation.test"].copies
    assert copies is not None
    assert copies.rows == tuple(range(200))
    (warning,) = warnings
    assert warning == copies_warning("evaluation.test", notes["evaluation.test"])
    assert warning.startswith("evaluation.test: the evaluation leaves out 200 images: the pixels")
    assert copies_warning("textures", notes["evaluation.outliers.textures"]) is None
    test = load(recipe.evaluation.test, recipe.input)
    with pytest.raises(
        RecipeError, match=r"the pixels of every image of cifar10 \(200 in all\) equal"
    ):
        without_copies(test, copies, key="evaluation.test")


def test_copies_are_left_out_by_their_place_in_the_source(tmp_path: Path) -> None:
    """Place 1 is a broken image, which counts."""
    for number in range(4):
        write(tmp_path / f"{number}.png", number)
    rows = "\n".join(f"{number}.png" for number in range(4))
    (tmp_path / "t.csv").write_text(f"path\n{rows}\n", encoding="utf-8")
    (tmp_path / "1.png").write_bytes(b"no image")
    images = load(Source(table=tmp_path / "t.csv", skip_broken=True), SPEC)
    copies = Copies(images=1, names=("2.png",), rows=(2,))
    assert set(numbers(without_copies(images, copies, key="test"))) == {0, 3}
    assert without_copies(images, None, key="test") is images
    assert images.left_out == {"the file is not an image of a format that can be read": 1}
    assert images.positions is not None
    assert images.positions.tolist() == [0, 2, 3]
