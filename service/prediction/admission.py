"""Limits on concurrent requests, and on the bytes and images that they hold in memory.

Everything that waits takes memory. These three limits bound the memory of the process while it
receives more requests than it can serve.
"""

import threading
from typing import Literal, Self, TypeAlias

from oodguard.service.errors import Overloaded

Unit: TypeAlias = Literal["requests", "bytes", "images"]


class Admission:
    """Admit requests within the concurrency limit and the limits on bytes and images.

    Args:
        max_requests: Maximum number of concurrent requests.
        max_bytes: Maximum number of body bytes, over all requests.
        max_images: Maximum number of images, over all requests.
    """

    def __init__(self, *, max_requests: int, max_bytes: int, max_images: int) -> None:
        self._limits: dict[Unit, int] = {
            "requests": max_requests,
            "bytes": max_bytes,
            "images": max_images,
        }
        self._held: dict[Unit, int] = {"requests": 0, "bytes": 0, "images": 0}
        # Decode threads add images.
        self._lock = threading.Lock()

    @property
    def requests(self) -> int:
        """The number of requests in flight."""
        return self._held["requests"]

    @property
    def full(self) -> bool:
        """True while the concurrency limit is reached."""
        return self.requests >= self._limits["requests"]

    def require(self, unit: Unit, count: int) -> None:
        """Check that more of a unit is within its limit.

        Raises:
            Overloaded: It is not.
        """
        held, limit = self._held[unit], self._limits[unit]
        if held + count > limit:
            raise Overloaded(
                f"{held} {unit} are in flight and {count} more were received,"
                f" at most {limit} are allowed"
            )

    def add(self, unit: Unit, count: int) -> None:
        """Add to what is in flight; a negative number releases it.

        Raises:
            Overloaded: The limit would be exceeded; nothing was added.
        """
        with self._lock:
            if count > 0:
                self.require(unit, count)
            self._held[unit] += count


class Claim:
    """The share of the limits that one request holds until the end of its `with` block.

    Raises:
        Overloaded: From the start of the block: the concurrency limit is reached.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._held: dict[Unit, int] = {"requests": 0, "bytes": 0, "images": 0}

    def __enter__(self) -> Self:
        self.add("requests", 1)
        return self

    def __exit__(self, *_: object) -> None:
        for unit, count in self._held.items():
            self._admission.add(unit, -count)

    @property
    def images(self) -> int:
        """The number of images of the request."""
        return self._held["images"]

    def add(self, unit: Unit, count: int) -> None:
        """Claim more of a unit, or raise `Overloaded`."""
        self._admission.add(unit, count)
        self._held[unit] += count
