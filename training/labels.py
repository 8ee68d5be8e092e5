"""A label column as numbers, and whether each is that of a class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.errors import RecipeError

NO_LABEL = -1


def label_numbers(column: Sequence[int | None]) -> NDArray[np.int64]:
    """Return the labels `(n,)`, `NO_LABEL` where a row has none."""
    return np.array([NO_LABEL if label is None else label for label in column], np.int64)


def check_labels(labels: NDArray[np.int64], classes: Sequence[str], *, name: str) -> None:
    """See that every label `(n,)` is that of a class.

    Raises:
        RecipeError: one is not.
    """
    wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if len(wrong):
        first = int(wrong[0])
        came = "none" if labels[first] == NO_LABEL else str(labels[first])
        raise RecipeError(
            f"{name}: wanted a label from 0 to {len(classes) - 1} for every image; {len(wrong):,}"
            f" of {len(labels):,} have another or none. The first is image number {first}, label"
            f" {came}. Drop these rows, or put them in a set of outliers"
        )
