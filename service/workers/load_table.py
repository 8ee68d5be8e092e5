"""The share of each worker in the limits of the service, in memory that all of them share.

Each worker writes only its own row, and reads those of the others. So there is no lock that a
killed worker could keep, and what it held is released by clearing its row.
"""

import mmap
from collections.abc import Sequence

from oodguard.service.prediction.admission import Admission, Unit

UNITS: Sequence[Unit] = ("requests", "bytes", "images", "unread bytes")

# Clients share the counts of a bucket. Two clients in one are limited as one client.
CLIENT_BUCKETS = 4096

_CONNECTIONS = len(UNITS)

_DECODING = _CONNECTIONS + 1

_SERVES = _DECODING + 1

_CLIENTS = 8

_ROW = _CLIENTS + len(UNITS) * CLIENT_BUCKETS


class LoadTable:
    """The counts of all workers. Create it before the workers are forked.

    Args:
        workers: Number of workers.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._counts = memoryview(mmap.mmap(-1, 8 * _ROW * workers)).cast("q")

    def clear(self, worker: int) -> None:
        """Release everything that a worker held."""
        start = worker * _ROW
        # Writing to every bucket would take memory for buckets that were never used.
        for index in range(start, start + _ROW):
            if self._counts[index]:
                self._counts[index] = 0

    def requests(self) -> int:
        """Return the number of requests in flight in all workers."""
        return self._sum(UNITS.index("requests"))

    def connections(self) -> int:
        """Return the number of open connections of all workers."""
        return self._sum(_CONNECTIONS)

    def _sum(self, column: int) -> int:
        return sum(self._counts[worker * _ROW + column] for worker in range(self.workers))

    def row(self, worker: int) -> "LoadRow":
        """Return the row of one worker."""
        others = [each * _ROW for each in range(self.workers) if each != worker]
        return LoadRow(self._counts, worker * _ROW, others)


class LoadRow:
    """The row of one worker, and the sums of the other rows."""

    def __init__(self, counts: "memoryview[int]", start: int, others: Sequence[int]) -> None:
        self._counts = counts
        self._start = start
        self._others = others

    def add(self, unit: int, count: int) -> None:
        """Add to what this worker holds of a unit."""
        self._counts[self._start + unit] += count

    def add_of(self, client: str, unit: int, count: int) -> None:
        """Add to what a client holds of a unit in this worker."""
        self._counts[self._start + _of_client(client, unit)] += count

    def elsewhere(self, unit: int) -> int:
        """Return what the other workers hold of a unit."""
        return sum([self._counts[start + unit] for start in self._others])

    def elsewhere_of(self, client: str, unit: int) -> int:
        """Return what a client holds of a unit in the other workers."""
        offset = _of_client(client, unit)
        return sum([self._counts[start + offset] for start in self._others])

    def set_connections(self, connections: int) -> None:
        """Set the number of open connections of this worker."""
        self._counts[self._start + _CONNECTIONS] = connections

    def other_connections(self) -> int:
        """Return the number of open connections of the other workers."""
        return self.elsewhere(_CONNECTIONS)

    def set_serves(self, *, serves: bool) -> None:
        """State whether this worker accepts connections."""
        self._counts[self._start + _SERVES] = serves

    def has_most_connections(self) -> bool:
        """Return whether another worker that accepts connections has fewer."""
        counts = self._counts
        mine = counts[self._start + _CONNECTIONS]
        return any(
            counts[start + _SERVES] and counts[start + _CONNECTIONS] < mine
            for start in self._others
        )

    def add_decoding(self, size: int) -> None:
        """Add to the memory of large images that this worker decodes."""
        self._counts[self._start + _DECODING] += size

    def decoding_elsewhere(self) -> int:
        """Return the memory of large images that the other workers decode."""
        return self.elsewhere(_DECODING)


def _of_client(client: str, unit: int) -> int:
    # `hash` has a random key that forked workers share, so no client can choose a bucket.
    return _CLIENTS + hash(client) % CLIENT_BUCKETS * len(UNITS) + unit


class SharedAdmission(Admission):
    """Admission within limits that hold for all workers together.

    A worker announces what it is about to hold, and withdraws it if that exceeds a limit. So two
    workers never exceed a limit together; at its edge, both may reject.
    """

    def __init__(self, row: LoadRow, *, max_requests: int, max_bytes: int, max_images: int) -> None:
        super().__init__(max_requests=max_requests, max_bytes=max_bytes, max_images=max_images)
        self._row = row

    def _elsewhere(self, unit: Unit) -> int:
        return self._row.elsewhere(UNITS.index(unit))

    def _elsewhere_of(self, name: str, unit: Unit) -> int:
        return self._row.elsewhere_of(name, UNITS.index(unit))

    def _announce(self, name: str, unit: Unit, count: int) -> None:
        index = UNITS.index(unit)
        self._row.add(index, count)
        self._row.add_of(name, index, count)
