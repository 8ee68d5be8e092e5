"""The calibration images of a bundle: scores, classes and groups, one row each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from oodguard.models.errors import BundleError

Scores = NDArray[np.float32]
Indices = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CalibrationRows:
    """The calibration images; row i of every array describes the same image.

    Bundles that earlier releases wrote have scores only.

    Attributes:
        scores: The score `(n,)` by name, in the order of the manifest; higher for OOD.
        predicted: The index `(n,)` of the predicted class.
        labels: The index `(n,)` of the true class.
        groups: The number `(n,)` of the group, from 0: images of a group are near-duplicates.
        attacked: The bundle's default score `(n,)` after an attack that raises it, by the attack's
            budget in 255ths of the pixel range (L-infinity); NaN for images that were not attacked.
        qualities: Quantities `(n,)` of the image itself, such as its brightness, by name.

    Raises:
        BundleError: Arrays have other lengths than each other, or values that are invalid.
    """

    scores: Mapping[str, Scores]
    predicted: Indices | None = None
    labels: Indices | None = None
    groups: Indices | None = None
    attacked: Mapping[int, Scores] = field(default_factory=lambda: MappingProxyType({}))
    qualities: Mapping[str, Scores] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        shapes = {array.shape for array in self.arrays().values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1 or not len(self):
            raise BundleError(
                f"The calibration columns have shapes {sorted(shapes)}, expected one shape (n,)"
                " with n of at least 1"
            )
        for name, array in self.arrays().items():
            given = array[~np.isnan(array)] if name.startswith("attacked.") else array
            if array.dtype.kind == "f" and not (len(given) and np.isfinite(given).all()):
                raise BundleError(
                    f"The calibration column {name} holds values that are not finite, expected"
                    " finite numbers"
                )
            if array.dtype.kind == "i" and array.min() < 0:
                raise BundleError(
                    f"The calibration column {name} holds {array.min()}, expected indices from 0"
                )

    def __len__(self) -> int:
        return len(next(iter(self.scores.values())))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays by a name that states the field: `scores.energy`, `attacked.2`."""
        given = {"predicted": self.predicted, "labels": self.labels, "groups": self.groups}
        return {
            **{f"scores.{name}": array for name, array in self.scores.items()},
            **{name: array for name, array in given.items() if array is not None},
            **{f"attacked.{budget}": array for budget, array in self.attacked.items()},
            **{f"qualities.{name}": array for name, array in self.qualities.items()},
        }

    @property
    def group_count(self) -> int | None:
        """The number of groups, or None."""
        return None if self.groups is None else len(np.unique(self.groups))

    @property
    def has_scores_only(self) -> bool:
        """Whether these are rows of the format that earlier releases read."""
        return len(self.arrays()) == len(self.scores)

    def ordered(self) -> dict[str, Scores]:
        """Return each score `(n,)` ascending and read-only."""
        columns = {name: np.sort(column) for name, column in self.scores.items()}
        for column in columns.values():
            column.setflags(write=False)
        return columns
