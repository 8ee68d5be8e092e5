from pathlib import Path

import pytest
import torch

from oodguard.models.errors import ClassifierError
from oodguard.training.data.dataset import ImageSet
from oodguard.training.wrap.labels import labels_of_outputs, read_classes


def labelled(classes: tuple[str, ...], labels: list[int]) -> ImageSet:
    images = torch.zeros(len(labels), 2, 2, 3, dtype=torch.uint8)
    return ImageSet(name="photos", images=images, labels=torch.tensor(labels), classes=classes)


def test_labels_of_outputs_match_classes_by_name() -> None:
    data = labelled(("cat", "dog"), [0, 1, 1])
    assert labels_of_outputs(("dog", "bird", "cat"), data, outputs=3).tolist() == [2, 0, 0]


@pytest.mark.parametrize(
    ("found", "positions"),
    [
        (("0", "1"), [0, 1, 1]),
        (("0", "10", "2"), [0, 10, 2]),
        (("00", "02", "10"), [0, 2, 10]),
        (("3", "7"), [3, 7, 7]),
    ],
)
def test_labels_of_outputs_use_numbers_as_positions(
    found: tuple[str, ...], positions: list[int]
) -> None:
    classes = tuple(f"sign {number}" for number in range(12))
    labels = [0, 1, len(found) - 1]
    assert labels_of_outputs(classes, labelled(found, labels), outputs=12).tolist() == positions


def test_labels_of_outputs_prefer_names_over_positions() -> None:
    data = labelled(("0", "1", "2"), [0, 1, 2])
    assert labels_of_outputs(("2", "1", "0"), data, outputs=3).tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("classes", "found", "message"),
    [
        (("cat", "dog"), ("cat", "dog"), "received 2 class names, expected 3"),
        (("cat", "cat", "dog"), ("cat", "dog"), "repeated: cat"),
        (("cat", "dog", "bird"), ("cat", "ship"), "photos: unknown classes ship, expected"),
        (("cat", "dog", "bird"), (), "photos: found no classes, expected one sub-folder per"),
        (
            ("cat", "dog", "bird"),
            ("0", "3"),
            "photos: unknown classes 3, expected",
        ),
        ((), (), "photos: found no classes, expected one sub-folder per class"),
    ],
)
def test_labels_of_outputs_reject_classes_that_do_not_match(
    classes: tuple[str, ...], found: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ClassifierError, match=message):
        labels_of_outputs(classes, labelled(found, [0]), outputs=3)


def test_read_classes_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("no entry\nstop \n\n yield\n", encoding="utf-8")
    assert read_classes(tmp_path / "names.txt") == ("no entry", "stop", "yield")
    with pytest.raises(ClassifierError, match=r"--classes .*none\.txt: cannot be read"):
        read_classes(tmp_path / "none.txt")
