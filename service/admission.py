"""How much is taken on at a time: requests, bytes of their bodies, images of theirs.

Everything that waits takes memory. These three bounds are what keeps the process small while it is
asked for more than it can do.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from service.errors import Overloaded


@dataclass(kw_only=True, slots=True)
class Claim:
    """What one request holds."""

    body_bytes: int = 0
    images: int = 0


class Admission:
    """Bounds on what is in flight.

    Args:
        max_requests: Most requests.
        max_bytes: Most bytes of bodies, over all requests.
        max_images: Most images, over all requests.

    Attributes:
        requests: Requests in flight.
    """

    def __init__(self, *, max_requests: int, max_bytes: int, max_images: int) -> None:
        self.requests = 0
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._max_images = max_images
        self._bytes = 0
        self._images = 0
        # Images are counted in the decoders' threads.
        self._lock = threading.Lock()

    @contextmanager
    def admitted(self) -> Iterator[Claim]:
        """Hold one of the places in flight, and what is claimed on top of it.

        Raises:
            Overloaded: All are taken.
        """
        if self.requests >= self._max_requests:
            raise Overloaded(
                f"{self.requests} requests are in flight; at most {self._max_requests} are taken"
            )
        claim = Claim()
        self.requests += 1
        try:
            yield claim
        finally:
            self.requests -= 1
            with self._lock:
                self._bytes -= claim.body_bytes
                self._images -= claim.images

    def take_bytes(self, claim: Claim, count: int) -> None:
        """Let a request hold more bytes.

        Raises:
            Overloaded: Together the requests would hold too many.
        """
        with self._lock:
            _check(self._bytes, count, self._max_bytes, "bytes")
            self._bytes += count
            claim.body_bytes += count

    def take_images(self, claim: Claim, count: int) -> None:
        """Let a request hold images.

        Raises:
            Overloaded: Together the requests would hold too many.
        """
        with self._lock:
            _check(self._images, count, self._max_images, "images")
            self._images += count
            claim.images += count


def _check(held: int, count: int, most: int, what: str) -> None:
    if held + count > most:
        raise Overloaded(f"{held} {what} are in flight and {count} came; at most {most} are taken")
