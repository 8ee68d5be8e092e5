"""Give each process that shares a state folder a folder of its own.

Replicas of one container share its volumes. Two processes that saved their evidence in one file
would replace each other's.
"""

import fcntl
import os
from pathlib import Path

LOCK = ".lock"

REPLICA = "replica-"

MAX_REPLICAS = 1000


class StateFolder:
    """The folder for the drift state of this process, locked until it is closed.

    The first process uses `folder` itself, further ones `replica-2`, `replica-3` and so on. A new
    process continues with the evidence of the first folder that no other process uses.

    Args:
        folder: The common folder.

    Attributes:
        path: The folder of this process; `folder` itself if it cannot be locked, such as a folder
            that is not writable.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self._descriptor: int | None = None
        for replica in range(1, MAX_REPLICAS):
            path = folder if replica == 1 else folder / f"{REPLICA}{replica}"
            try:
                if replica > 1:
                    path.mkdir(exist_ok=True)
                self._descriptor = _lock(path / LOCK)
            except OSError:
                return
            if self._descriptor is not None:
                self.path = path
                return

    def close(self) -> None:
        """Let another process use the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_used(folder: Path) -> bool:
    """Return whether a process uses the folder for its state."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock(file: Path) -> int | None:
    """Return a descriptor that holds a lock on a file, or None if another process holds it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
