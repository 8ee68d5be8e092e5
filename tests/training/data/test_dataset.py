from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from oodguard.models.errors import RecipeError
from oodguard.models.manifest import InputSpec
from oodguard.sources.source import Source
from oodguard.training.config.sources import Inliers
from oodguard.training.data.dataset import ImageSet, load, split, to_pixels

Row = tuple[torch.Tensor, int]

SPEC = InputSpec(height=32, width=32)
CIFAR10 = Path(__file__).parents[2] / "data" / "cifar10"


def test_folder_images_have_the_classes_of_their_subfolders() -> None:
    images = load(Source(folder=CIFAR10), SPEC)
    assert images.classes[0] == "airplane"
    assert torch.bincount(images.labels).tolist() == [20] * 10
    pairs = {(_bytes(image), images.classes[label]) for image, label in _rows(images)}
    files = {
        (np.asarray(Image.open(path)).tobytes(), path.parent.name)
        for path in CIFAR10.rglob("*.png")
    }
    assert pairs == files


def test_source_with_several_splits_states_the_one_that_is_read() -> None:
    signs = CIFAR10.parent / "signs"
    train = Source(folder=signs, split="train", images=40)
    assert str(load(train, SPEC)) == "split train of signs: 40 images"
    assert str(load(Source(folder=signs, split="test"), SPEC)) == "split test of signs: 60 images"
    assert str(load(Source(folder=signs / "test"), SPEC)) == "test: 60 images"


def test_first_images_of_a_folder_are_a_reproducible_sample() -> None:
    one, two = (load(Source(folder=CIFAR10, images=100), SPEC) for _ in range(2))
    assert torch.equal(one.images[:], two.images[:])
    # Sorted by class there would be 5 classes of 20; at random a class has 10, with deviation 2.2.
    assert torch.bincount(one.labels, minlength=10).min() >= 2


def test_parquet_images_keep_their_order(tmp_path: Path) -> None:
    table = datasets.load_dataset("imagefolder", data_dir=str(CIFAR10), split="train")
    table.to_parquet(tmp_path / "cifar.parquet")
    images = load(Source(parquet=tmp_path / "cifar.parquet"), SPEC)
    assert images.classes == tuple(sorted(path.name for path in CIFAR10.iterdir()))
    assert images.labels.tolist() == sorted(images.labels.tolist())
    for index in (0, 57, 199):
        assert _bytes(images.images[index]) == np.asarray(table[index]["image"]).tobytes()


def test_left_out_classes_are_dropped_and_the_others_renumbered() -> None:
    whole = load(Source(folder=CIFAR10), SPEC)
    selected = load(Source(folder=CIFAR10, leave_out=("airplane", 2, "truck")), SPEC)
    assert selected.classes == ("automobile", "cat", "deer", "dog", "frog", "horse", "ship")
    assert torch.bincount(selected.labels).tolist() == [20] * 7
    kept: dict[str, set[bytes]] = {name: set() for name in selected.classes}
    for image, label in _rows(whole):
        if whole.classes[label] in kept:
            kept[whole.classes[label]].add(_bytes(image))
    for image, label in _rows(selected):
        assert _bytes(image) in kept[selected.classes[label]]


def test_only_equals_leaving_out_all_other_classes() -> None:
    only = load(Source(folder=CIFAR10, only=("truck", 0), images=30), SPEC)
    assert only.classes == ("airplane", "truck")
    assert len(only) == 30
    rest = tuple(range(1, 9))
    assert torch.equal(
        only.images[:], load(Source(folder=CIFAR10, leave_out=rest, images=30), SPEC).images[:]
    )


@pytest.mark.parametrize("key", ["plane", 10, -1])
def test_unknown_class_is_an_error(key: str | int) -> None:
    with pytest.raises(RecipeError, match=r"cifar10: leave_out contains .*, expected names"):
        load(Source(folder=CIFAR10, leave_out=(key,)), SPEC)


def _rows(images: ImageSet) -> list[Row]:
    return list(zip(images.images[:], images.labels.tolist(), strict=True))


def _bytes(image: torch.Tensor) -> bytes:
    return image.numpy().tobytes()


@pytest.mark.parametrize(
    "source",
    [Source(folder=Path("no.where/x.y")), Source(parquet=Path("no.where/x.y"))],
    ids=["folder", "parquet"],
)
def test_missing_source_is_an_error_that_names_the_path_as_given(source: Source) -> None:
    with pytest.raises(RecipeError, match=r"^no\.where/x\.y: cannot read the data"):
        load(source, SPEC)


def test_damaged_image_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "broken.png").write_bytes(b"no image")
    with pytest.raises(RecipeError, match=r"cannot read 1 of 1 image:\n  .*broken\.png"):
        load(Source(folder=tmp_path), SPEC)


def test_pixels_are_channels_first_in_0_to_1() -> None:
    images = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    expected = torch.tensor([0.0, 0.2, 1.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(to_pixels(images), expected)


def _parquet(
    path: Path, labels: list[int | None], classes: str = "cat dog", **columns: list[int]
) -> Source:
    """Write images of different widths, whose red is their number."""
    pictures = [Image.new("RGB", (20 + 8 * n, 20), (n, 0, 0)) for n in range(len(labels))]
    features = datasets.Features(
        image=datasets.Image(),
        label=datasets.ClassLabel(names=classes.split()),
        **dict.fromkeys(columns, datasets.Value("int64")),
    )
    rows = {"image": pictures, "label": labels, **columns}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(path)
    return Source(parquet=path)


def test_groups_are_numbered_by_label_and_column_among_the_selected_images(tmp_path: Path) -> None:
    path = tmp_path / "film.parquet"
    _parquet(path, [0, 1, 1, 2, 2, 2], "a b c", track=[7, 7, 8, 7, 7, 8])
    for leave_out, labels, groups in [
        ((), [0, 1, 1, 2, 2, 2], [0, 1, 2, 3, 3, 4]),
        (("b",), [0, 1, 1, 1], [0, 1, 1, 2]),
    ]:
        images = load(Source(parquet=path, group="track", leave_out=leave_out), SPEC)
        assert images.labels.tolist() == labels
        assert images.groups is not None
        assert images.groups.tolist() == groups
    with pytest.raises(RecipeError, match="group is 'reel', expected one of the columns"):
        load(Source(parquet=path, group="reel"), SPEC)


def test_groups_of_a_folder_reach_the_split_of_the_inliers(tmp_path: Path) -> None:
    for number in range(120):
        path = tmp_path / "ab"[number % 2] / f"film{number // 8}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (number, 0, 0)).save(path)
    held_out = Inliers(folder=tmp_path, validation=10, calibration=30, group="folder")
    parts = split(load(held_out, SPEC), held_out, seed=0)
    films = [
        {int(red) // 8 * 2 + int(red) % 2 for red in part.images[:, 0, 0, 0]}
        for part in (parts.validation, parts.calibration, parts.training)
    ]
    assert sum(map(len, films)) == len(set.union(*films)) == 30


def test_images_of_mixed_sizes_are_resized_to_one(tmp_path: Path) -> None:
    images = load(_parquet(tmp_path / "mixed.parquet", [0, 1, 0]), SPEC)
    assert images.images.shape == (3, 32, 32, 3)
    assert images.images[:, 5, 5, 0].tolist() == [0, 1, 2]
    assert images.labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            [0, 1, None, 0],
            r"invalid labels: 1 of 4, expected 0 to 1 .*:\n  row 2: has no label\n",
        ),
        ([0, -1, -1, 1], r"invalid labels: 2 of 4, .*\n  row 1: has no label\n  row 2: has no"),
        ([1, 1, 1, 1], r"every image of odd \(4 in all\) has the class 'dog'"),
    ],
    ids=["none", "minus one", "a single class"],
)
def test_invalid_labels_are_an_error_for_inliers_only(
    tmp_path: Path, labels: list[int | None], message: str
) -> None:
    source = _parquet(tmp_path / "odd.parquet", labels)
    images = load(source, SPEC)
    assert len(images) == 4
    held_out = Inliers(parquet=source.parquet, validation=1, calibration=20)
    with pytest.raises(RecipeError, match=message):
        split(images, held_out, seed=0)


def test_label_beyond_the_classes_is_an_error() -> None:
    images = ImageSet(
        name="odd",
        images=torch.zeros(4, 1, 1, 3, dtype=torch.uint8),
        labels=torch.tensor([0, 1, 2, 7]),
        classes=("cat", "dog"),
    )
    held_out = Inliers(folder=CIFAR10, validation=1, calibration=20)
    with pytest.raises(
        RecipeError, match=r"invalid labels: 2 of 4.*\n  row 2: label 2\n  row 3: label 7"
    ):
        split(images, held_out, seed=0)


def test_inliers_without_classes_are_an_error() -> None:
    textures = CIFAR10.parent / "textures"
    held_out = Inliers(folder=textures, validation=1, calibration=20)
    with pytest.raises(RecipeError, match="found 0 classes in textures, expected at least 2"):
        split(load(Source(folder=textures), SPEC), held_out, seed=0)


def test_empty_source_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    for source in (_parquet(tmp_path / "empty.parquet", []), Source(folder=tmp_path / "empty")):
        with pytest.raises(RecipeError, match=r"/empty(\.parquet)?: (found no images|cannot read)"):
            load(source, SPEC)
