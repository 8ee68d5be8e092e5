"""Starts a server again whenever it ends, as `restart: unless-stopped` does in docker."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Supervisor:
    """Keeps one process alive from a thread of its own.

    Args:
        start: Starts the process.
    """

    def __init__(self, start: Callable[[], subprocess.Popen[str]]) -> None:
        self._start = start
        self._stopped = threading.Event()
        self._process = start()
        self._thread = threading.Thread(target=self._watch, name="supervisor")
        self._thread.start()

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        return self._process.pid

    def stop(self) -> None:
        """End the process, and do not start it again."""
        self._stopped.set()
        self._process.kill()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self._process.wait()
            if self._stopped.is_set():
                return
            self._process = self._start()


@contextmanager
def supervised(start: Callable[[], subprocess.Popen[str]]) -> Iterator[Supervisor]:
    """Keep a process alive until the block ends."""
    supervisor = Supervisor(start)
    try:
        yield supervisor
    finally:
        supervisor.stop()
