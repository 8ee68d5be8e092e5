"""A number of bytes that decode threads share."""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Returning memory takes about a millisecond; decoding four megapixels takes some thirty.
TRIM_BYTES = 32 * 2**20


class MemoryReservation:
    """Bytes that threads reserve before they decode a large image.

    Reservations are served in the order in which they are requested. Otherwise small ones would
    keep a large one waiting.

    Args:
        capacity: Maximum number of reserved bytes.
    """

    def __init__(self, capacity: int) -> None:
        self._free = self._capacity = capacity
        self._first_in_line = threading.Lock()
        self._released = threading.Condition()

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes are free, and hold them during the block.

        A size above the capacity is served alone.
        """
        size = min(size, self._capacity)
        with self._first_in_line, self._released:
            self._released.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            if size >= TRIM_BYTES:
                _return_free_memory()
            with self._released:
                self._free += size
                self._released.notify()


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None


_LIBC = _glibc()


def _return_free_memory() -> None:
    """Return freed memory to the system: glibc keeps up to 64 MiB for each thread."""
    if _LIBC is not None:
        _LIBC.malloc_trim(0)
