"""Train a run in one process at a time: two would mix their files in its folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oodguard.models.errors import RecipeError


@contextmanager
def only_training(folder: Path) -> Iterator[None]:
    """Hold the lock of the folder of a run; it ends with the process, however that ends.

    A folder that does not exist, or on a file system without locks, is not locked.

    Raises:
        RecipeError: Another process trains the run.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # reported when the run is created or resumed
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RecipeError(
                f"{folder}: another process trains this run. Wait for its end, or choose another"
                " folder with --out"
            ) from error
        except OSError:  # the file system has no locks
            pass
        yield
    finally:
        os.close(descriptor)
