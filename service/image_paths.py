"""The image files that the arguments of a command name: files, folders and patterns."""

import os
from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path

from oodguard.service.errors import UnreadableFile
from oodguard.sources.endings import ending

IMAGE_ENDINGS = frozenset({".jpeg", ".jpe", ".jfif", ".jpg", ".png", ".webp"})
"""The endings of JPEG, PNG and WebP files, which a folder is searched for."""


def image_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield files as they are, the images of folders at any depth, and what patterns match.

    A pattern, such as `photos/**/*.png`, is for more files than a command line can contain. Hidden
    files and folders are left out. A folder without images is yielded itself, and so is a pattern
    that matches nothing, for the error of the command.

    Raises:
        UnreadableFile: A folder cannot be listed.
    """
    for path in paths:
        if path.is_dir():
            yield from _or(path, _images(path))
        elif has_magic(str(path)) and not path.exists():
            matches = glob(str(path), recursive=True)  # noqa: PTH207 - also of absolute patterns
            yield from _or(path, (Path(each) for each in sorted(matches)))
        else:
            yield path


def _or(path: Path, found: Iterator[Path]) -> Iterator[Path]:
    first = next(found, path)
    yield first
    yield from found


def _images(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise UnreadableFile(f"{error.filename}: {error.strerror}") from error

    for place, below, names in os.walk(folder, onerror=fail):
        below[:] = sorted(each for each in below if not each.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and ending(name) in IMAGE_ENDINGS:
                yield Path(place, name)
