"""Match the classes of labelled images with the outputs of a classifier."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from oodguard.models.counts import count_of
from oodguard.models.errors import ClassifierError, RecipeError
from oodguard.sources.classes import match_classes
from oodguard.sources.special_file import is_special
from oodguard.training.data.dataset import ImageSet


def read_classes(path: Path) -> tuple[str, ...]:
    """Read class names, one per line in the order of the outputs; blank lines are ignored.

    Raises:
        ClassifierError: The file cannot be read.
    """
    if is_special(path):
        raise ClassifierError(f"--classes {path}: is a pipe or a device, expected a file")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ClassifierError(f"--classes {path}: cannot be read: {error}") from error
    return tuple(line.strip() for line in lines if line.strip())


def labels_of_outputs(
    classes: tuple[str, ...], data: ImageSet, *, outputs: int, option: str = "--data"
) -> Tensor:
    """Return the labels `(n,)` of the data as positions in `classes`.

    The data may have some of the classes only. Classes are matched by name, whole numbers in place
    of names by position.

    Raises:
        ClassifierError: The number of classes is wrong, a name is not unique, the data has no
            classes or an unknown one.
    """
    check_has_classes(option, data.name, data.classes)
    if len(classes) != outputs:
        raise ClassifierError(
            f"received {count_of(len(classes), 'class name')}, expected {outputs}, one per output."
            " Give --classes FILE with one name per line, in the order of the outputs."
        )
    if len(set(classes)) != len(classes):
        repeated = sorted(name for name, times in Counter(classes).items() if times > 1)
        raise ClassifierError(f"class names must be unique; repeated: {', '.join(repeated)}")
    try:
        positions = match_classes(classes, data.classes, name=data.name)
    except RecipeError as error:
        raise ClassifierError(str(error)) from error
    return torch.tensor(positions)[data.labels]


def check_has_classes(option: str, name: str, classes: Sequence[str]) -> None:
    """Check that the data `name` of an option have classes.

    Raises:
        ClassifierError: They have none.
    """
    if not classes:
        raise ClassifierError(
            f"{option} {name}: found no classes, expected one sub-folder per class with all images"
            " inside the sub-folders, or a table with a column of labels. Move the images of each"
            " class into their own sub-folder."
        )
