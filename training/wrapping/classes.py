"""Which logit is which class, and the labels of the data in that order."""

from pathlib import Path

import torch
from torch import Tensor

from models.errors import ClassifierError
from training.data import ImageSet


def read_classes(path: Path) -> tuple[str, ...]:
    """Read class names, one a line, in the order of the logits; blank lines count for nothing.

    Raises:
        ClassifierError: the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ClassifierError(f"--classes {path}: cannot be read: {error}") from error
    return tuple(line.strip() for line in lines if line.strip())


def labels_in(classes: tuple[str, ...], data: ImageSet, *, outputs: int) -> Tensor:
    """Return the labels `(n,)` of the data as places in `classes`, one for every output.

    The data may hold some of the classes alone. Names decide; where the data has numbers for
    names, as Parquet files without names do, the numbers are the places.

    Raises:
        ClassifierError: another number of classes than of outputs, names that come twice, data
            without classes or with one that is not among them.
    """
    if len(classes) != outputs:
        raise ClassifierError(
            f"{len(classes)} class names came for {outputs} outputs; one for each is wanted: give"
            " --classes FILE, one name a line, in the order of the outputs"
        )
    if len(set(classes)) != len(classes):
        twice = sorted({name for name in classes if classes.count(name) > 1})
        raise ClassifierError(f"class names must be unique; twice or more: {', '.join(twice)}")
    if not data.classes:
        raise ClassifierError(
            f"{data.name} has no classes; a label column or one sub-folder a class is wanted"
        )
    return torch.tensor(_places(classes, data.classes, data.name))[data.labels]


def _places(classes: tuple[str, ...], found: tuple[str, ...], name: str) -> list[int]:
    numbers = [str(number) for number in range(len(found))]
    if list(found) == numbers and len(found) <= len(classes):
        return list(range(len(found)))
    strange = [each for each in found if each not in classes]
    if strange:
        raise ClassifierError(
            f"{name} has classes that the classifier has not: {', '.join(strange[:5])}"
            f"{', ...' if len(strange) > 5 else ''}; it has {', '.join(classes[:5])}"
            f"{', ...' if len(classes) > 5 else ''}"
        )
    return [classes.index(each) for each in found]
