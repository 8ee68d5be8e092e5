"""The rate limits of API keys, for all workers together."""

import fcntl
import mmap
import struct
import threading
import time
from hashlib import blake2b
from types import TracebackType
from typing import Any

from throttled.store import MemoryStore, MemoryStoreBackend

from oodguard.service.auth.key_file import MAX_KEYS

_ENTRY = struct.Struct("<Qd")

_WAYS = 16

# Four times as many entries as keys, so that a set is hardly ever full.
_SETS = 4 * MAX_KEYS // _WAYS


class RateTable:
    """The time at which each key will have its whole rate again, in shared memory.

    Create it before the workers are forked. A key whose time has passed is as good as absent, so
    its entry is used for another key; if a set is full, that of the key with the earliest time.

    Args:
        lock: A file, on which a worker has a lock while it counts a request. The system releases
            the lock of a killed worker.
    """

    def __init__(self, lock: int) -> None:
        self._entries = mmap.mmap(-1, _SETS * _WAYS * _ENTRY.size)
        self._lock = lock
        self._thread_lock = threading.Lock()

    def __enter__(self) -> None:
        self._thread_lock.acquire()
        fcntl.lockf(self._lock, fcntl.LOCK_EX)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        fcntl.lockf(self._lock, fcntl.LOCK_UN)
        self._thread_lock.release()

    def get(self, key: str) -> float | None:
        """Return the time of a key, or None. The caller has the lock."""
        tag, start = _place(key)
        for offset in self._set(start):
            found, at = _ENTRY.unpack_from(self._entries, offset)
            if found == tag:
                return float(at)
        return None

    def set(self, key: str, at: float) -> None:
        """Set the time of a key. The caller has the lock."""
        tag, start = _place(key)
        oldest, oldest_at = start, float("inf")
        for offset in self._set(start):
            found, present = _ENTRY.unpack_from(self._entries, offset)
            if found == tag:
                oldest = offset
                break
            if present < oldest_at:
                oldest, oldest_at = offset, present
        _ENTRY.pack_into(self._entries, oldest, tag, at)

    @staticmethod
    def _set(start: int) -> range:
        return range(start, start + _WAYS * _ENTRY.size, _ENTRY.size)


def _place(key: str) -> tuple[int, int]:
    """Return the tag of a key, and the offset of its set."""
    digest = blake2b(key.encode(), digest_size=12).digest()
    # 0 is the tag of an entry that was never used.
    tag = int.from_bytes(digest[:8], "little") or 1
    return tag, int.from_bytes(digest[8:], "little") % _SETS * _WAYS * _ENTRY.size


class _SharedBackend(MemoryStoreBackend):
    """throttled's store in memory, with its numbers in a `RateTable`."""

    def __init__(self, server: str | None = None, options: dict[str, Any] | None = None) -> None:
        super().__init__(server, None)
        self._table: RateTable = (options or {})["TABLE"]
        self.lock = self._table

    def get(self, key: str) -> float | None:
        at = self._table.get(key)
        return None if at is None or at <= time.monotonic() else at

    def set(self, key: str, value: float, timeout: int) -> None:  # noqa: ARG002 - it ends with it
        self._table.set(key, value)


class SharedRateStore(MemoryStore):
    """The store of `RateLimiter` for all workers. The clock of the system is the same in each."""

    _BACKEND_CLASS = _SharedBackend

    def __init__(self, table: RateTable) -> None:
        super().__init__(options={"TABLE": table})
