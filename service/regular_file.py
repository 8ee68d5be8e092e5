"""Read and write small regular files: a named pipe would block, a device may never end."""

import errno
import os
import stat
from pathlib import Path

from oodguard.service.errors import UnreadableFile

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
"""The permissions of images of users, and of all copies of them: the owner's only."""


def read_regular_file(path: Path, max_bytes: int, *, follow: bool = True) -> bytes:
    """Return the content of a regular file, or with `follow` of the one that a link points to.

    Whatever replaces the file meanwhile, the content is that of one file.

    Raises:
        FileNotFoundError: There is no file.
        UnreadableFile: It is not a regular file, is too large, or cannot be read.
    """
    try:
        with open(path, "rb", opener=_following if follow else _not_following) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreadableFile(f"{path}: not a regular file")
            content = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise
    except IsADirectoryError as error:
        raise UnreadableFile(f"{path} is a folder, expected a regular file") from error
    except OSError as error:
        # A socket cannot be opened.
        cause = "not a regular file" if error.errno == errno.ENXIO else error.strerror
        raise UnreadableFile(f"{path}: {cause}") from error
    if len(content) > max_bytes:
        raise UnreadableFile(f"{path}: larger than the limit of {max_bytes} bytes")
    return content


def write_new_file(path: Path, content: bytes, *, mode: int = 0o666, sync: bool = False) -> None:
    """Write a new file in the place of whatever has its name; nothing remains if that fails.

    A link is not followed, and a named pipe is not opened.

    Args:
        path: The file.
        content: Its content.
        mode: Its permissions, without those of the umask.
        sync: Return when the content is on the disk.

    Raises:
        OSError: The file cannot be written.
    """
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
    except OSError:
        # On a full disk each attempt would otherwise leave an empty file.
        path.unlink(missing_ok=True)
        raise


# Without O_NONBLOCK, a named pipe would block until it has a writer.
def _following(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _not_following(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
