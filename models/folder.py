"""A folder of files put in place whole or not at all."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path


def put_in_place(
    folder: Path, content: Mapping[str, bytes], *, check: Callable[[Path], object]
) -> None:
    """Write files beside `folder`, `check` them there, and rename them into its place.

    Whatever fails, the folder that was there before stays or returns. Only a machine that stops
    between the two renames leaves the old folder aside, in `.NAME-*/old`.

    Raises:
        OSError: the files cannot be written; or whatever `check` raises.
    """
    folder = folder.resolve()  # Of a link, its target is what is replaced.
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as beside:
        new, old = Path(beside, "new"), Path(beside, "old")
        new.mkdir()
        for name, each in content.items():
            (new / name).write_bytes(each)
        check(new)
        _swap(new, folder, old=old)


def _swap(new: Path, folder: Path, *, old: Path) -> None:
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    finally:
        if not folder.exists() and old.exists():
            old.rename(folder)
