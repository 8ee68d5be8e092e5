"""The queue between the requests and the thread that writes samples."""

import threading
from collections import deque

from oodguard.service.sampling.sample import SampledRequest


class SampleQueue:
    """A thread-safe queue that is bounded by number of requests and by size of their bodies.

    Args:
        max_requests: Maximum number of requests.
        max_bytes: Maximum size of their bodies; a single larger body is accepted if it is alone.
    """

    def __init__(self, *, max_requests: int, max_bytes: int) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._bytes = 0
        self._requests: deque[SampledRequest] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, request: SampledRequest) -> bool:
        """Add a request; return False if the queue is full or closed."""
        size = len(request.body.data)
        with self._changed:
            full = len(self._requests) >= self._max_requests or self._bytes + size > self._max_bytes
            if self._closed or (self._requests and full):
                return False
            self._requests.append(request)
            self._bytes += size
            self._changed.notify()
        return True

    def take(self, timeout_s: float) -> SampledRequest | None:
        """Wait for a request; return None at the timeout or if the queue is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._requests or self._closed, timeout_s)
            if not self._requests:
                return None
            request = self._requests.popleft()
            self._bytes -= len(request.body.data)
            return request

    def close(self) -> None:
        """Accept no further requests; pending ones can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    @property
    def finished(self) -> bool:
        """True if the queue is closed and empty."""
        with self._changed:
            return self._closed and not self._requests
