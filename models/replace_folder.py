"""Replace a folder of files as a whole."""

import errno
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

_EXISTS = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}
"""The reasons why a folder cannot be renamed to a name that is in use; an empty folder is none."""


def replace_folder(
    folder: Path,
    content: Mapping[str, bytes],
    *,
    check: Callable[[Path], object],
    replace: bool = True,
) -> None:
    """Write files to a temporary folder, check them there, and rename it to `folder`.

    If a step fails, the previous folder remains in place or is restored. If the machine stops
    between the two renames, the previous folder remains in `.NAME-*/old`.

    Args:
        folder: The folder to replace. The target of a symbolic link is replaced, not the link.
        content: The files by name.
        check: Raises an error if the new folder is invalid.
        replace: Whether `folder` may exist; a folder that another process creates meanwhile counts.

    Raises:
        OSError: The files cannot be written, or `folder` exists and must not.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        new, old = Path(temporary, "new"), Path(temporary, "old")
        new.mkdir()
        for name, each in content.items():
            (new / name).write_bytes(each)
        check(new)
        if replace and folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError as error:
            if not replace and error.errno in _EXISTS:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), folder) from error
            raise
        finally:
            if not folder.exists() and old.exists():
                old.rename(folder)
