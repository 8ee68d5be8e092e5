"""The groups of a source: images of one group are near-duplicates, such as the frames of a film.

A table names a column. A folder of pictures has three rules:

    folder            the sub-folder that holds the picture is its group
    name:PATTERN      what a regular expression captures of the picture's path in the folder
    FILE:COLUMN       a column of a CSV or JSON file in the folder, by the picture's path from it
"""

import csv
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oodguard.models.errors import RecipeError
from oodguard.models.names import text_of
from oodguard.sources.listing import name_all
from oodguard.sources.source_options import way_to_set
from oodguard.sources.special_file import is_special
from oodguard.sources.text_tables import read_rows

PICTURE_COLUMNS = ("file_name", "filename", "file", "path", "image")
"""The columns that may name the pictures of a metadata file, the first one that exists."""


def number_groups(values: Sequence[object], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number `(n,)` of the group of each row: rows of one label with the same value."""
    pairs = [f"{label} {value}" for label, value in zip(labels, values, strict=True)]
    _, numbers = np.unique(pairs, return_inverse=True)
    return numbers.astype(np.int64)


def folder_groups(rule: str, root: Path, names: Sequence[str], *, labelled: bool) -> list[str]:
    """Return the group of each picture of a folder by its path from the folder.

    Args:
        rule: One of the three rules, see above.
        root: The folder whose sub-folders are the classes, if there are classes.
        names: The paths of the pictures from `root`, with `/`.
        labelled: Whether the first part of a path is the class.

    Raises:
        RecipeError: The rule is none of these, or does not group every picture.
    """
    head, separator, rest = rule.partition(":")
    if rule == "folder":
        group_of: Callable[[str], str | None] = _by_folder(depth=2 if labelled else 1)
        fault = "is in no sub-folder" + (" of its class" if labelled else "")
    elif separator and head == "name":
        group_of, fault = _by_pattern(rest), "does not match the pattern"
    elif separator and head and rest:
        group_of, fault = _by_table(root, head, rest), f"has no row in {head}"
    else:
        raise RecipeError(
            f"{text_of(root)}: group is {rule!r}, expected 'folder', 'name:PATTERN' or"
            f" 'FILE:COLUMN' for a folder. Change {way_to_set('group')}"
        )
    groups = {name: group_of(name) for name in names}
    faults = {text_of(name): fault for name, group in groups.items() if not group}
    if faults:
        raise RecipeError(
            f"{text_of(root)}: group is {rule!r}, but {len(faults):,} of {len(names):,} pictures"
            f" have no group, expected one for each:\n{name_all(faults)}\n"
            f"Correct the pictures, or {way_to_set('group')}"
        )
    return [str(groups[name]) for name in names]


def _by_folder(*, depth: int) -> Callable[[str], str | None]:
    return lambda name: posixpath.dirname(name) if name.count("/") >= depth else None


def _by_pattern(pattern: str) -> Callable[[str], str | None]:
    """Return the captured texts of the first match, or the match of a pattern without a group."""
    try:
        found = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise RecipeError(
            f"group is 'name:{pattern}', expected a regular expression, such as 'name:(film\\d+)_':"
            f" {error}. Change {way_to_set('group')}"
        ) from error

    def group_of(name: str) -> str | None:
        match = found.search(name)
        if match is None:
            return None
        captured = match.groups("")
        return "/".join(captured) if captured else match.group()

    return group_of


def _by_table(root: Path, file: str, column: str) -> Callable[[str], str | None]:
    path = root / file
    if is_special(path):
        raise RecipeError(f"{text_of(path)}: the path is a pipe or a device, expected a file")
    try:
        rows = read_rows(path)
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RecipeError(
            f"{text_of(path)}: cannot read the groups: {reason}. Change {way_to_set('group')}"
        ) from error
    names = list(dict.fromkeys(name for row in rows for name in row))
    picture = next((name for name in PICTURE_COLUMNS if name in names), None)
    if picture is None or column not in names:
        raise RecipeError(
            f"{text_of(path)}: found the columns {names}, expected {column!r} and one of"
            f" {', '.join(PICTURE_COLUMNS)}. Change {way_to_set('group')}"
        )
    # Paths start from the folder of the file, as those of a table do.
    start = posixpath.dirname(file)
    known: Mapping[str, object] = {
        posixpath.normpath(posixpath.join(start, str(row.get(picture)))): row.get(column)
        for row in rows
    }

    def group_of(name: str) -> str | None:
        value = known.get(name)
        return None if value is None else str(value)

    return group_of
