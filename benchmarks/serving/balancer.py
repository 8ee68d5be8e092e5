"""Whoever sends traffic to a process, and looks whether it still wants some."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.serving.service import is_ready

LOOKS_EVERY_S = 0.1


class Balancer:
    """Asks /readyz ten times a second; once it is not ready, it stays left alone."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._left = threading.Event()

    def sends(self) -> bool:
        """Whether the process still gets traffic."""
        return not self._left.is_set()

    def watch(self) -> None:
        """Look until it is not ready, or until nobody wants to know."""
        while not self._left.wait(LOOKS_EVERY_S):
            if not is_ready(self._port):
                self._left.set()

    def leave(self) -> None:
        """Look no more."""
        self._left.set()


@contextmanager
def balanced(port: int) -> Iterator[Balancer]:
    """Look during the block."""
    balancer = Balancer(port)
    thread = threading.Thread(target=balancer.watch)
    thread.start()
    try:
        yield balancer
    finally:
        balancer.leave()
        thread.join()
