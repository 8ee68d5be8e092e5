"""Names of files and folders as text that every output format can contain."""

import io
import stat
import sys
from os import PathLike
from pathlib import Path


def escape_unencodable_output() -> None:
    """Escape the characters that the encoding of standard output and error does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def text_of(name: str | PathLike[str]) -> str:
    r"""Return a name as text; bytes that are not UTF-8 are escaped, such as `\udcff`.

    JSON, manifests and terminals cannot contain them.
    """
    return str(name).encode("utf-8", "backslashreplace").decode()


def is_special(path: Path) -> bool:
    """Return whether a path is a pipe, a device or a socket: reading it may have no end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # reading it states the reason
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
