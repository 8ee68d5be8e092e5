from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import RecipeError
from models.manifest import InputSpec
from training.data import ImageSet, load, split, to_pixels
from training.recipe import Inliers, Source

Row = tuple[torch.Tensor, int]

SPEC = InputSpec(height=32, width=32)
CIFAR10 = Path(__file__).parents[1] / "data" / "cifar10"


def test_a_folder_gives_its_images_in_the_classes_of_its_subfolders() -> None:
    images = load(Source(folder=CIFAR10), SPEC)
    assert images.classes[0] == "airplane"
    assert torch.bincount(images.labels).tolist() == [20] * 10
    pairs = {(_bytes(image), images.classes[label]) for image, label in _rows(images)}
    files = {
        (np.asarray(Image.open(path)).tobytes(), path.parent.name)
        for path in CIFAR10.rglob("*.png")
    }
    assert pairs == files


def test_the_first_images_of_a_folder_are_a_fair_sample_and_always_the_same() -> None:
    one, two = (load(Source(folder=CIFAR10, images=100), SPEC) for _ in range(2))
    assert torch.equal(one.images, two.images)
    # Sorted by class they would be five classes of 20; at random a class has 10 give or take 2.2.
    assert torch.bincount(one.labels, minlength=10).min() >= 2


def test_parquet_gives_its_images_in_its_own_order(tmp_path: Path) -> None:
    table = datasets.load_dataset("imagefolder", data_dir=str(CIFAR10), split="train")
    table.to_parquet(tmp_path / "cifar.parquet")
    images = load(Source(parquet=tmp_path / "cifar.parquet"), SPEC)
    assert images.classes == tuple(sorted(path.name for path in CIFAR10.iterdir()))
    assert images.labels.tolist() == sorted(images.labels.tolist())
    for index in (0, 57, 199):
        assert _bytes(images.images[index]) == np.asarray(table[index]["image"]).tobytes()


def _rows(images: ImageSet) -> list[Row]:
    return list(zip(images.images, images.labels.tolist(), strict=True))


def _bytes(image: torch.Tensor) -> bytes:
    return image.numpy().tobytes()


def test_images_of_any_size_are_brought_to_the_recipes(tmp_path: Path) -> None:
    for name, size in (("a", (64, 48)), ("b", (20, 20))):
        (tmp_path / name).mkdir()
        Image.new("RGB", size, (10, 20, 30)).save(tmp_path / name / "1.png")
    images = load(Source(folder=tmp_path), SPEC).images
    assert images.shape == (2, 32, 32, 3)
    assert images[1, 5, 5].tolist() == [10, 20, 30]


def test_the_parts_are_disjoint_whole_and_the_same_for_the_same_seed() -> None:
    images = load(Source(folder=CIFAR10), SPEC)
    held_out = Inliers(folder=CIFAR10, validation=20, calibration=60)
    one, two = (split(images, held_out, seed=5) for _ in range(2))
    assert (len(one.validation), len(one.calibration), len(one.training)) == (20, 60, 120)
    assert torch.equal(one.calibration.images, two.calibration.images)
    parts = torch.cat([one.training.images, one.validation.images, one.calibration.images])
    assert len(parts.flatten(1).unique(dim=0)) == len(images.images.flatten(1).unique(dim=0))
    other = split(images, held_out, seed=6)
    assert not torch.equal(one.calibration.images, other.calibration.images)


def test_holding_out_more_than_half_is_refused() -> None:
    images = load(Source(folder=CIFAR10), SPEC)
    held_out = Inliers(folder=CIFAR10, validation=50, calibration=60)
    with pytest.raises(RecipeError, match="hold out 110 images, at most half of the 200"):
        split(images, held_out, seed=0)


def test_inliers_without_classes_are_refused() -> None:
    textures = CIFAR10.parent / "textures"
    held_out = Inliers(folder=textures, validation=1, calibration=20)
    with pytest.raises(RecipeError, match="wanted at least 2 classes"):
        split(load(Source(folder=textures), SPEC), held_out, seed=0)


@pytest.mark.parametrize(
    "source",
    [Source(folder=Path("nowhere")), Source(parquet=Path("nowhere.parquet"))],
    ids=["folder", "parquet"],
)
def test_a_source_that_is_not_there_is_named(source: Source) -> None:
    with pytest.raises(RecipeError, match="nowhere: cannot be read"):
        load(source, SPEC)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "broken.png").write_bytes(b"no image")
    with pytest.raises(RecipeError, match=r"image number 0 cannot be read: .*broken\.png"):
        load(Source(folder=tmp_path), SPEC)


def test_pixels_are_channels_first_in_zero_to_one() -> None:
    images = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    expected = torch.tensor([0.0, 0.2, 1.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(to_pixels(images), expected)
