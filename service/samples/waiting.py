"""The line between the event loop, which never waits, and the thread that keeps samples."""

import threading
from collections import deque

from service.samples.sample import Rejection


class Waiting:
    """A queue that is bounded in requests and in bytes of their bodies.

    Args:
        max_requests: Most requests that wait.
        max_bytes: Most bytes of bodies that wait; one body may have more, alone.
    """

    def __init__(self, *, max_requests: int, max_bytes: int) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._bytes = 0
        self._line: deque[Rejection] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, rejection: Rejection) -> bool:
        """Let it wait, if there is room for it at once."""
        size = len(rejection.body.data)
        with self._changed:
            full = len(self._line) >= self._max_requests or self._bytes + size > self._max_bytes
            if self._closed or (self._line and full):
                return False
            self._line.append(rejection)
            self._bytes += size
            self._changed.notify()
        return True

    def take(self, within_s: float) -> Rejection | None:
        """Wait for the next; none where there is none in time, or will be none any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._line or self._closed, within_s)
            if not self._line:
                return None
            rejection = self._line.popleft()
            self._bytes -= len(rejection.body.data)
            return rejection

    def close(self) -> None:
        """Take no more; what waits may still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    @property
    def ended(self) -> bool:
        """Whether nothing waits and nothing will."""
        with self._changed:
            return self._closed and not self._line
