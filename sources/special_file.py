"""Recognize files whose content may have no end."""

import stat
from pathlib import Path


def is_special(path: Path) -> bool:
    """Return whether a path is a pipe, a device or a socket: reading it may have no end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # reading it states the reason
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
