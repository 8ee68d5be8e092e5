"""List the pictures of a folder: `FOLDER/CLASS/**`, or `FOLDER/SPLIT/CLASS/**` with a split.

The names of files and folders do not decide what is read, except for the split that a user names.
"""

import errno
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oodguard.models.errors import RecipeError
from oodguard.models.names import text_of
from oodguard.sources.classes import in_order
from oodguard.sources.endings import ending
from oodguard.sources.groups import folder_groups, number_groups
from oodguard.sources.listing import NO_LABEL, Encoded, Listing
from oodguard.sources.pictures import picture_endings
from oodguard.sources.splits import SPLITS, TRAINING, split_of

OUTSIDE = "outside of the class folders"

SHUFFLE_SEED = 0
"""The order of `datasets.Dataset.shuffle(seed=0)`, which the figures of older runs depend on."""


def list_folder(
    folder: Path, *, split: str | None, labelled: bool, group: str | None = None
) -> Listing:
    """List a folder; the class of a picture is the first folder on its way.

    Hidden files are not read. The pictures, which are sorted by class, are shuffled in one fixed
    order, so that the first ones are a representative sample. With `labelled`, pictures outside of
    the class folders are skipped. `group` is a rule of `sources.groups`.

    Raises:
        RecipeError: The folder or a sub-folder cannot be read, or contains splits instead of
            classes, or the rule does not group every picture.
    """
    root = _root(folder, split)
    location = text_of(root)
    try:
        files = sorted(_files(root))
    except OSError as error:
        path = text_of(error.filename or root)
        raise RecipeError(f"{path}: cannot read the data: {error.strerror}") from error
    endings = picture_endings()
    pictures = [name for name in files if ending(name) in endings]
    skipped = Counter(ending(name) or "without an ending" for name in files)
    skipped.subtract(ending(name) for name in pictures)
    folders = {name.partition("/")[0] for name in pictures if "/" in name}
    classes = in_order({text_of(name) for name in folders})
    if len(classes) != len(folders):
        raise RecipeError(f"{location}: two sub-folders have the same name as text; rename one")
    if labelled and classes:
        skipped[OUTSIDE] = sum("/" not in name for name in pictures)
        pictures = [name for name in pictures if "/" in name]
    number = {name: index for index, name in enumerate(classes)} if classes else {}
    labels = [
        number[text_of(name.partition("/")[0])] if "/" in name else NO_LABEL if classes else 0
        for name in pictures
    ]
    numbers = np.array(labels, np.int64)
    groups = None
    if group is not None:
        found = folder_groups(group, root, pictures, labelled=labelled and bool(classes))
        groups = number_groups(found, numbers)
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(pictures))

    def read(rows: NDArray[np.int64]) -> Iterator[tuple[str, Encoded]]:
        for row in rows:
            path = root / pictures[order[row]]
            yield text_of(path), path

    return Listing(
        location=location,
        classes=classes,
        labels=numbers[order],
        groups=None if groups is None else groups[order],
        rows=np.arange(len(pictures)),
        read=read,
        skipped={name: count for name, count in skipped.items() if count > 0},
    )


def _root(folder: Path, split: str | None) -> Path:
    """Return the folder whose sub-folders are the classes."""
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        remedy = "; a file is read as a table" if folder.exists() else ""
        raise RecipeError(
            f"{text_of(folder)}: cannot read the data: the path {found}, expected a folder{remedy}"
        )
    below = sorted(text_of(each.name) for each in _visible(folder) if _is_folder(each))
    if split is not None:
        if not (folder / split).is_dir():
            raise RecipeError(
                f"{text_of(folder)}: split is {split!r}, expected one of the sub-folders"
                f" {', '.join(below) or '(there are none)'}"
            )
        return folder / split
    filled = [
        each.name
        for each in sorted(_visible(folder), key=lambda each: each.name)
        if _is_folder(each) and _visible(Path(each.path))
    ]
    names = [name for name in filled if name.lower() in SPLITS]
    splits = {split_of(name) for name in filled}
    if None not in splits and len(splits) > 1:  # such as train2017 and val2017
        names = filled
    if len(names) > 1 or (names and len(below) == 1):
        proposed = next((name for name in names if split_of(name) == TRAINING), names[-1])
        raise RecipeError(
            f"{text_of(folder)}: its sub-folders {', '.join(names)} are splits, expected classes."
            f" Give one of them: split = {proposed!r} in a recipe, or the path"
            f" {text_of(folder / proposed)}. If they are classes, give split = '.'"
        )
    return folder


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise RecipeError(f"{text_of(folder)}: cannot read the data: {error.strerror}") from error


def _files(root: Path) -> Iterator[str]:
    """Yield the relative names of all files; a class reads a folder once, whatever links to it."""
    waiting = [("", {_identity(root)})]
    while waiting:
        prefix, seen = waiting.pop()
        for entry in sorted(_visible(root / prefix), key=lambda each: each.name):
            name = prefix + entry.name
            if not _is_folder(entry):
                yield name
                continue
            known = seen if prefix else set(seen)  # each class has its own
            identity = _identity(entry)
            if identity not in known:
                known.add(identity)
                waiting.append((f"{name}/", known))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder; links that lead to themselves are none."""
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False


def _identity(folder: Path | os.DirEntry[str]) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
