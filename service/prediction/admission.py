"""How much is taken on at a time: requests, bytes of their bodies, images of theirs.

Everything that waits takes memory. These three bounds are what keeps the process small while it is
asked for more than it can do.
"""

import threading
from typing import Self

from oodguard.service.errors import Overloaded


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

    def admitted(self) -> "Claim":
        """One of the places in flight, for as long as a `with` block.

        Raises:
            Overloaded: From the block's start: all are taken.
        """
        return Claim(self)

    @property
    def full(self) -> bool:
        """Whether there is no place for one more request."""
        return self.requests >= self._max_requests

    def require_place(self) -> None:
        """Refuse while it is full.

        Raises:
            Overloaded: All places are taken.
        """
        if self.full:
            most = self._max_requests
            raise Overloaded(f"{self.requests} requests are in flight; at most {most} are taken")

    def hold(self, *, requests: int = 0, body_bytes: int = 0, images: int = 0) -> None:
        """Count what a claim takes, or gives back; it must fit.

        Raises:
            Overloaded: There would be too many requests, or they would hold too many bytes or
                images together.
        """
        with self._lock:
            if requests > 0:
                self.require_place()
            if body_bytes > 0:
                _check(self._bytes, body_bytes, self._max_bytes, "bytes")
            if images > 0:
                _check(self._images, images, self._max_images, "images")
            self.requests += requests
            self._bytes += body_bytes
            self._images += images


class Claim:
    """What one request holds until the end of its `with` block.

    Attributes:
        images: Its images.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._body_bytes = 0
        self.images = 0

    def __enter__(self) -> Self:
        self._admission.hold(requests=1)
        return self

    def __exit__(self, *_: object) -> None:
        self._admission.hold(requests=-1, body_bytes=-self._body_bytes, images=-self.images)

    def take_bytes(self, count: int) -> None:
        """Hold more bytes of a body.

        Raises:
            Overloaded: Together the requests would hold too many.
        """
        self._admission.hold(body_bytes=count)
        self._body_bytes += count

    def take_images(self, count: int) -> None:
        """Hold more images.

        Raises:
            Overloaded: Together the requests would hold too many.
        """
        self._admission.hold(images=count)
        self.images += count


def _check(held: int, count: int, most: int, what: str) -> None:
    if held + count > most:
        raise Overloaded(f"{held} {what} are in flight and {count} came; at most {most} are taken")
