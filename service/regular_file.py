"""Read a small regular file of the operator: a named pipe would block, a device may never end."""

import os
import stat
from pathlib import Path

from oodguard.service.errors import UnreadableFile


def read_regular_file(path: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file, or of the one that a link points to.

    Whatever replaces the file meanwhile, the content is that of one file.

    Raises:
        FileNotFoundError: There is no file.
        UnreadableFile: It is not a regular file, is too large, or cannot be read.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreadableFile(f"{path}: not a regular file")
            content = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise
    except IsADirectoryError as error:
        raise UnreadableFile(f"{path} is a folder, expected a regular file") from error
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror}") from error
    if len(content) > max_bytes:
        raise UnreadableFile(f"{path}: larger than the limit of {max_bytes} bytes")
    return content


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a named pipe would otherwise block until it has a writer."""
    return os.open(path, flags | os.O_NONBLOCK)
