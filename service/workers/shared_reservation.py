"""A number of bytes that the decode threads of all workers share."""

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from oodguard.service.workers.load_table import LoadRow

# Decoding a large image takes tens of milliseconds.
RETRY_S = 0.002


class SharedReservation:
    """Bytes that are reserved before a large image is decoded, in one worker at a time.

    The worker that is first waits with a lock on a file, which the system releases if the worker is
    killed.

    Args:
        capacity: Maximum number of reserved bytes of the service.
        row: The row of this worker.
        lock: A file, the same one in every worker.
    """

    def __init__(self, capacity: int, row: LoadRow, lock: int) -> None:
        self._capacity = capacity
        self._row = row
        self._file = lock
        # Locks of files do not exclude threads of one process.
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._held = 0

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes are free in the service, and hold them during the block."""
        size = min(size, self._capacity)
        with self._turn:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                while not self._take(size):
                    time.sleep(RETRY_S)
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
        try:
            yield
        finally:
            self._add(-size)

    def _take(self, size: int) -> bool:
        """Reserve bytes if they are free. The caller has the lock of the file."""
        if self._row.decoding_elsewhere() + self._held + size > self._capacity:
            return False
        self._add(size)
        return True

    def _add(self, size: int) -> None:
        with self._counting:
            self._held += size
            self._row.add_decoding(size)
