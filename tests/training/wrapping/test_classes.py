from pathlib import Path

import pytest
import torch

from oodguard.models.errors import ClassifierError
from oodguard.training.data.dataset import ImageSet
from oodguard.training.wrap.output import labels_of_outputs, read_classes


def _data(classes: tuple[str, ...], labels: list[int]) -> ImageSet:
    images = torch.zeros(len(labels), 2, 2, 3, dtype=torch.uint8)
    return ImageSet(name="photos", images=images, labels=torch.tensor(labels), classes=classes)


def test_names_decide_which_output_a_label_is() -> None:
    data = _data(("cat", "dog"), [0, 1, 1])
    assert labels_of_outputs(("dog", "bird", "cat"), data, outputs=3).tolist() == [2, 0, 0]


def test_numbers_for_names_are_places() -> None:
    data = _data(("0", "1"), [1, 0])
    assert labels_of_outputs(("stop", "yield", "no entry"), data, outputs=3).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("classes", "found", "wanted"),
    [
        (("cat", "dog"), ("cat", "dog"), "2 class names came for 3 outputs"),
        (("cat", "cat", "dog"), ("cat", "dog"), "twice or more: cat"),
        (("cat", "dog", "bird"), ("cat", "ship"), "classes that the classifier has not: ship"),
        (("cat", "dog", "bird"), (), "photos has no classes"),
    ],
)
def test_classes_that_do_not_fit_are_refused(
    classes: tuple[str, ...], found: tuple[str, ...], wanted: str
) -> None:
    with pytest.raises(ClassifierError, match=wanted):
        labels_of_outputs(classes, _data(found, [0]), outputs=3)


def test_a_file_of_names_is_read_in_its_order(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("no entry\nstop \n\n yield\n", encoding="utf-8")
    assert read_classes(tmp_path / "names.txt") == ("no entry", "stop", "yield")
    with pytest.raises(ClassifierError, match=r"--classes .*none\.txt: cannot be read"):
        read_classes(tmp_path / "none.txt")
