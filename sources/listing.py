"""The content of a source before an image is decoded: rows, classes and skipped files."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from oodguard.models.counts import count_of
from oodguard.models.errors import RecipeError, install_hint
from oodguard.sources.source_options import way_to_set

NO_LABEL = -1

Encoded = Path | bytes | None
"""An encoded image as a file or as bytes; None where a row of a table has none."""

ReadRows = Callable[[NDArray[np.int64]], Iterator[tuple[str, Encoded]]]
"""Maps rows of a source to the name and the encoded image of each, in that order."""

MAX_ROWS = 10_000_000
"""The largest number of rows of a source: all of them are listed in memory, and a table of a few
kilobytes may declare billions."""

MAX_NAMED = 100
"""The number of files or rows that an error names."""

EXTRAS: Mapping[str, str] = MappingProxyType({".heic": "heif", ".heif": "heif", ".hif": "heif"})
"""The extras that read additional formats, by ending."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The rows of a source.

    `labels` `(n,)` are `NO_LABEL` for rows without a label, and all 0 without `classes`. `groups`
    are the numbers of the groups: the rows of one class with one value, or of all classes;
    `group_values` are the numbers of the values, if classes may share them. `skipped` are the
    numbers of files that are not read, by ending. `files` returns the files that contain the
    images, unless each image is a file itself. `columns` are those of a table, none for a folder,
    and `image_column` is the one with the images. Images that cannot be read are left out with
    `skip_broken`.
    """

    location: str
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]
    read: ReadRows
    groups: NDArray[np.int64] | None = None
    group_values: NDArray[np.int64] | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    files: Callable[[], Iterable[Path]] | None = None
    image_column: str = ""
    columns: tuple[str, ...] = ()
    skip_broken: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def pictures(self) -> Iterator[tuple[str, Encoded]]:
        """Yield the name and the encoded image of every row."""
        return self.read(self.rows)

    def select(self, index: NDArray[np.int64]) -> "Listing":
        """Return the rows at `index`, in that order."""
        return replace(
            self,
            rows=self.rows[index],
            labels=self.labels[index],
            groups=None if self.groups is None else self.groups[index],
            group_values=None if self.group_values is None else self.group_values[index],
        )

    @property
    def shared_values(self) -> str | None:
        """Describe how many groups there are, if several classes share the values of groups."""
        if self.groups is None or self.group_values is None:
            return None
        groups, values = len(np.unique(self.groups)), len(np.unique(self.group_values))
        if groups == values:
            return None
        once = way_to_set("group_across_classes", "true")
        return (
            f"{groups:,} groups of {count_of(values, 'value')}: a value that several classes share"
            f" is one group for each of them, and with {once} one group in all"
        )

    @property
    def warning(self) -> str | None:
        """State when the groups are wrong, if several classes share their values."""
        if self.shared_values is None:
            return None
        return (
            f"{self.location} has {self.shared_values}. If images of several classes with one value"
            " resemble each other, such as those of one film, the promises hold only with this"
            " option"
        )

    @property
    def counts(self) -> dict[str, int]:
        """The number of images by class."""
        number = len(self.classes)
        known = self.labels[(self.labels >= 0) & (self.labels < number)]
        found = np.bincount(known, minlength=number)
        return {name: int(count) for name, count in zip(self.classes, found, strict=True)}

    def __str__(self) -> str:
        """Describe the source in one line: images, classes, least and most, skipped files."""
        text = f"{self.location}: {count_of(len(self), 'image')}"
        if self.classes:
            counts = self.counts
            least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
            text += f" of {count_of(len(counts), 'class', 'classes')}, "
            if counts[least] < counts[most]:
                text += f"{counts[least]:,} ({least}) to {counts[most]:,} ({most}) per class"
            else:
                text += f"{counts[least]:,} per class"
        if shared := self.shared_values:
            text += f"; {shared}"
        if self.skipped:
            text += f"; {describe_skipped(self.skipped)}"
        return text


def describe_skipped(skipped: Mapping[str, int]) -> str:
    """Return the number of skipped files by ending, and the extras that read some of them."""
    parts = ", ".join(f"{count:,} {ending}" for ending, count in sorted(skipped.items()))
    text = f"skipped files: {parts}"
    extras = sorted({EXTRAS[ending] for ending in skipped if ending in EXTRAS})
    return text + "".join(f". {install_hint(extra)}, to read them" for extra in extras)


def name_all(faults: Mapping[str, str], *, at_most: int = MAX_NAMED) -> str:
    """Return one indented line for each fault by its file or row, and the number of the others."""
    lines = [f"  {name}: {reason}" for name, reason in islice(faults.items(), at_most)]
    rest = len(faults) - len(lines)
    return "\n".join(lines + ([f"  and {rest:,} more"] if rest > 0 else []))


def check_row_count(rows: int, *, location: str) -> None:
    """Check that a source has at most `MAX_ROWS` rows, of which `rows` are known.

    Raises:
        RecipeError: There are more.
    """
    if rows > MAX_ROWS:
        raise RecipeError(
            f"{location}: found at least {rows:,} rows, expected at most {MAX_ROWS:,}, because all"
            " rows are listed in memory. Write the rows that you need to another table"
        )


def check_names(names: Sequence[str], *, location: str) -> None:
    """Check that no two columns have one name.

    Raises:
        RecipeError: The error names the column.
    """
    for name, count in Counter(names).items():
        if count > 1:
            raise RecipeError(
                f"{location}: {count} columns have the name {name!r}, expected different names:"
                " rename or remove one"
            )


def check_label_column(listing: Listing) -> None:
    """Check that a table has a column of labels.

    Raises:
        RecipeError: The error lists the columns and names the key.
    """
    if listing.columns and not listing.classes:
        raise RecipeError(
            f"{listing.location}: no column of labels found among the columns"
            f" {list(listing.columns)}, expected one such as 'label'. Name it with"
            f" {way_to_set('label_column')}"
        )


def check_labels(name: str, classes: tuple[str, ...], labels: NDArray[np.int64]) -> None:
    """Check that every label is one of the classes.

    Raises:
        RecipeError: The error names the rows of the other labels.
    """
    invalid = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if len(invalid):
        found = {
            f"row {row}": "has no label" if labels[row] == NO_LABEL else f"label {labels[row]}"
            for row in invalid
        }
        raise RecipeError(
            f"{name}: invalid labels: {len(invalid):,} of {len(labels):,}, expected 0 to"
            f" {len(classes) - 1} (rows are counted from 0):\n{name_all(found)}\n"
            "Remove these rows, or use them as outliers"
        )


def check_inliers(name: str, classes: tuple[str, ...], labels: NDArray[np.int64]) -> None:
    """Check that there are two classes in use, and that every label is one of the classes.

    Raises:
        RecipeError: The labels are not those of inliers.
    """
    if len(classes) < 2:
        raise RecipeError(
            f"inliers: found {count_of(len(classes), 'class', 'classes')} in {name},"
            " expected at least 2. Put each class in its own sub-folder, or give a label column"
        )
    check_labels(name, classes, labels)
    if (labels == labels[0]).all():
        raise RecipeError(
            f"inliers: every image of {name} ({len(labels):,} in all) has the class"
            f" {classes[int(labels[0])]!r}, expected images of at least 2 classes"
        )
    missing = np.flatnonzero(np.bincount(labels, minlength=len(classes)) == 0)
    if len(missing):
        names = ", ".join(classes[index] for index in missing[:MAX_NAMED])
        raise RecipeError(
            f"inliers: {name} has no image of {len(missing):,} of {len(classes):,} classes,"
            f" expected images of all classes: {names}. A table is read in its order: shuffle its"
            " rows or remove the limit `images`, or drop classes with leave_out"
        )
