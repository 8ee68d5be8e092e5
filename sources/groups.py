"""The groups of a source: images of one group are near-duplicates, such as the frames of a film.

A table names a column. A folder of pictures has three rules:

    folder            the sub-folder that holds the picture is its group
    name:PATTERN      what a regular expression captures of the picture's path in the folder
    FILE:COLUMN       a column of a CSV or JSON file in the folder, by the picture's path from it
"""

import csv
import posixpath
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from oodguard.models.counts import count_of
from oodguard.models.errors import RecipeError
from oodguard.models.names import text_of
from oodguard.sources.listing import name_all
from oodguard.sources.source_options import way_to_set
from oodguard.sources.special_file import is_special
from oodguard.sources.text_tables import read_rows

PICTURE_COLUMNS = ("file_name", "filename", "file", "path", "image")
"""The columns that may name the pictures of a metadata file, the first one that exists."""

GROUPING_S, GROUPING_S_PER_NAME = 10.0, 0.001
"""The CPU time that a rule may take; a usual pattern takes microseconds for each name."""


def number_groups(values: Sequence[object], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number `(n,)` of the group of each row: rows of one label with the same value.

    Groups are numbered in the order of their texts. An array of these texts would take the length
    of the longest one for each row.
    """
    found: dict[str, int] = {}
    texts = (f"{label} {_text(value)}" for label, value in zip(labels, values, strict=True))
    first = np.fromiter((found.setdefault(text, len(found)) for text in texts), np.int64)
    ranks = np.empty(len(found), np.int64)
    ranks[[found[text] for text in sorted(found)]] = np.arange(len(found))
    return ranks[first]


def _text(value: object) -> str:
    """Return a value as text; a whole number is the same in columns of integers and of floats."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def check_groups_given(location: str, values: Sequence[object], names: Sequence[str]) -> None:
    """Check that every image has a group: images without one are not near-duplicates.

    Args:
        location: The source in the error.
        values: The value of each image: null, NaN and empty text are no group.
        names: The name of each image in the error.

    Raises:
        RecipeError: The error names the images.
    """
    # NaN, as pandas writes a missing number, differs from itself.
    faults = {
        name: "has no group"
        for name, value in zip(names, values, strict=True)
        if value is None or value != value or str(value).strip() == ""  # noqa: PLR0124
    }
    if faults:
        raise RecipeError(
            f"{location}: images without a group: {len(faults):,} of {len(names):,}, expected a"
            f" group for each (rows are counted from 0):\n{name_all(faults)}\n"
            f"Correct these rows, or {way_to_set('group')}"
        )


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
    named = f"{text_of(root)}: group is '{text_of(rule)}'"
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
            f"{named}, expected 'folder', 'name:PATTERN' or"
            f" 'FILE:COLUMN' for a folder. Change {way_to_set('group')}"
        )
    groups: dict[str, str | None] = {}
    limit_s = GROUPING_S + GROUPING_S_PER_NAME * len(names)
    try:
        with _cpu_time_limit(limit_s):
            for name in names:
                groups[name] = group_of(name)
    except TimeoutError:
        raise RecipeError(
            f"{named}, and the pattern took more than {limit_s:g} s of"
            f" CPU time, the last of it for {text_of(names[len(groups)])}. A repetition of a"
            " repetition, such as (a+)+, tries all ways to divide a name: repeat once, such as a+."
            f" Change {way_to_set('group')}"
        ) from None
    faults = {
        text_of(name): fault if group is None else "has an empty group"
        for name, group in groups.items()
        if not group
    }
    if names and len(faults) == len(names):
        raise RecipeError(
            f"{named}, but none of {count_of(len(names), 'picture')} has a"
            f" group: the first, {text_of(names[0])}, {faults[text_of(names[0])]}. Correct the"
            f" pictures, or {way_to_set('group')}"
        )
    if faults:
        raise RecipeError(
            f"{named}, but found {count_of(len(faults), 'picture')} without"
            f" a group among {len(names):,}, expected one for each:\n{name_all(faults)}\n"
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


@contextmanager
def _cpu_time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after this CPU time, also within a match: `re` checks for signals.

    Only in the main thread, where commands list their sources.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> NoReturn:
        raise TimeoutError

    earlier = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, earlier)


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
        if name not in known:
            return None
        value = known[name]
        return "" if value is None else str(value).strip()

    return group_of
