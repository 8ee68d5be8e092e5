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
from oodguard.sources.endings import TABLE_ENDINGS, ending
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
        files = sorted(walk(root))
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
    groups = values = None
    if group is not None:
        found = folder_groups(group, root, pictures, labelled=labelled and bool(classes))
        groups, values = number_groups(found, numbers), number_groups(found, 0 * numbers)
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
        group_values=None if values is None else values[order],
        rows=np.arange(len(pictures)),
        read=read,
        skipped={name: count for name, count in skipped.items() if count > 0},
    )


def _root(folder: Path, split: str | None) -> Path:
    """Return the folder whose sub-folders are the classes."""
    if not folder.is_dir():
        fault = "is a file, expected a folder; a file is read as a table"
        if not folder.exists():
            expected = "table" if ending(folder.name) in TABLE_ENDINGS else "folder"
            fault = f"does not exist, expected a {expected}"
        raise RecipeError(f"{text_of(folder)}: cannot read the data: the path {fault}")
    below = sorted(text_of(each.name) for each in _visible(folder) if _is_folder(each))
    if split is not None:
        if (folder / split).is_dir():
            return folder / split
        if split_of(text_of(folder.absolute().name)) == (split_of(split) or split):
            raise RecipeError(
                f"{text_of(folder)}: split is {split!r}, but the folder is that split itself, with"
                f" the sub-folders {', '.join(below) or '(there are none)'}: remove split, or give"
                f" the folder {text_of(folder.parent)}"
            )
        raise RecipeError(
            f"{text_of(folder)}: split is {split!r}, expected one of the sub-folders"
            f" {', '.join(below) or '(there are none)'}"
        )
    if names := _split_folders(folder, len(below)):
        training = next((name for name in names if split_of(name) == TRAINING), names[-1])
        held_out = [name for name in names if split_of(name) != TRAINING]
        example = f", such as {text_of(folder / held_out[0])}" if held_out else ""
        raise RecipeError(
            f"{text_of(folder)}: its sub-folders are splits ({', '.join(map(text_of, names))}),"
            f" expected classes. In a recipe, add split = {text_of(training)!r}, or that of the"
            " test images in [evaluation.test]. For an option of a command, give the path of images"
            f" that the model was not trained on{example}. If they are classes, add split = '.' in"
            " a recipe, or rename one"
        )
    return folder


def _split_folders(folder: Path, count: int) -> list[str]:
    """Return the sub-folders that are splits instead of classes; empty: there are only classes.

    One name of a split among others may be a class, unless it has only folders, as a split has.
    `count` is the number of sub-folders.
    """
    contents = {
        each.name: inside
        for each in sorted(_visible(folder), key=lambda each: each.name)
        if _is_folder(each) and (inside := _visible(Path(each.path)))
    }
    splits = {split_of(name) for name in contents}
    if None not in splits and len(splits) > 1:  # such as train2017 and val2017
        return list(contents)
    names = [name for name in contents if name.lower() in SPLITS]
    if len(names) > 1 or (names and count == 1):
        return names
    return [name for name in names if all(map(_is_folder, contents[name]))]


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise RecipeError(f"{text_of(folder)}: cannot read the data: {error.strerror}") from error


def walk(root: Path) -> Iterator[str]:
    """Yield the relative names of all visible files in their order as text.

    A class reads a folder once, whatever links to it.
    """
    # Only the names of the folders on the way are in memory.
    waiting: list[tuple[str, set[tuple[int, int]]]] = [("", {_identity(root)})]
    while waiting:
        name, seen = waiting.pop()
        if name and not name.endswith("/"):
            yield name
            continue
        found = []
        for entry in sorted(_visible(root / name), key=lambda each: each.name):
            if not _is_folder(entry):
                found.append((name + entry.name, seen))
                continue
            known = seen if name else set(seen)  # each class has its own
            identity = _identity(entry)
            if identity not in known:
                known.add(identity)
                found.append((f"{name}{entry.name}/", known))
        waiting += sorted(found, key=lambda each: each[0], reverse=True)


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
