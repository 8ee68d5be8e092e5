"""Limits on concurrent requests, and on the bytes and images that they hold in memory.

Everything that waits takes memory. These three limits bound the memory of the process while it
receives more requests than it can serve.
"""

import threading
from typing import Self

from oodguard.service.errors import Overloaded


class Admission:
    """Admit requests within the concurrency limit and the limits on bytes and images.

    Args:
        max_requests: Maximum number of concurrent requests.
        max_bytes: Maximum number of body bytes, over all requests.
        max_images: Maximum number of images, over all requests.

    Attributes:
        requests: Number of requests in flight.
    """

    def __init__(self, *, max_requests: int, max_bytes: int, max_images: int) -> None:
        self.requests = 0
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._max_images = max_images
        self._bytes = 0
        self._images = 0
        # Decode threads add images.
        self._lock = threading.Lock()

    @property
    def full(self) -> bool:
        """True while the concurrency limit is reached."""
        return self.requests >= self._max_requests

    def require_capacity(self) -> None:
        """Reject one more request while the concurrency limit is reached.

        Raises:
            Overloaded: The concurrency limit is reached.
        """
        if self.full:
            raise Overloaded(
                f"{self.requests} requests are in flight, at most {self._max_requests} are allowed"
            )

    def admit(self) -> "Claim":
        """Return the claim of one request, which counts within its `with` block.

        Raises:
            Overloaded: From the start of the block: the concurrency limit is reached.
        """
        return Claim(self)

    def add(self, *, requests: int = 0, body_bytes: int = 0, images: int = 0) -> None:
        """Add to what is in flight; negative numbers release it.

        Raises:
            Overloaded: A limit would be exceeded; nothing was added.
        """
        with self._lock:
            if requests > 0:
                self.require_capacity()
            if body_bytes > 0:
                _check(self._bytes, body_bytes, self._max_bytes, "bytes")
            if images > 0:
                _check(self._images, images, self._max_images, "images")
            self.requests += requests
            self._bytes += body_bytes
            self._images += images


class Claim:
    """The share of the limits that one request holds until the end of its `with` block.

    Attributes:
        images: Number of images of the request.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._body_bytes = 0
        self.images = 0

    def __enter__(self) -> Self:
        self._admission.add(requests=1)
        return self

    def __exit__(self, *_: object) -> None:
        self._admission.add(requests=-1, body_bytes=-self._body_bytes, images=-self.images)

    def add_bytes(self, count: int) -> None:
        """Claim more body bytes.

        Raises:
            Overloaded: All requests together would hold too many.
        """
        self._admission.add(body_bytes=count)
        self._body_bytes += count

    def add_images(self, count: int) -> None:
        """Claim more images.

        Raises:
            Overloaded: All requests together would hold too many.
        """
        self._admission.add(images=count)
        self.images += count


def _check(held: int, count: int, limit: int, unit: str) -> None:
    if held + count > limit:
        raise Overloaded(
            f"{held} {unit} are in flight and {count} more were received,"
            f" at most {limit} are allowed"
        )
