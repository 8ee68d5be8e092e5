"""Worker processes for a run: forked from one process that has imported everything.

Start them before this process imports what it needs itself: both then happen at the same time.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TextIO, TypeAlias

from oodguard.service.settings import Settings

Message: TypeAlias = tuple[int, dict[str, Any] | None]
"""The number of a worker, and its reply; None: the worker has ended."""

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS")
"""Each worker uses one CPU. A library that starts a thread for each CPU takes memory only."""


def worker_count(settings: Settings) -> int:
    """Return the number of workers: one for each CPU, unless the settings state another number."""
    if settings.workers != "auto":
        return settings.workers
    if settings.threads:
        return settings.threads
    from loky import cpu_count  # noqa: PLC0415 - slow

    return int(cpu_count())


class WorkerPool:
    """Worker processes that receive lines of text and reply with lines of JSON.

    They end with the context, and when this process is killed.

    Args:
        workers: The number of processes.

    Attributes:
        workers: The number of processes.
        messages: Their replies.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._requests: list[TextIO] = []
        self._is_used = False

    def __enter__(self) -> Self:
        """Start the processes."""
        own: list[int] = []
        theirs: list[int] = []
        for _ in range(self.workers):
            (their_requests, our_requests), (our_replies, their_replies) = os.pipe(), os.pipe()
            theirs += [their_requests, their_replies]
            own += [our_requests, our_replies]
        self._forker = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", "oodguard.service.scoring.worker", *map(str, theirs)],
            env={**os.environ, **dict.fromkeys(ONE_THREAD, "1")},
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C ends this process, which ends the workers.
            start_new_session=True,
        )
        for each in theirs:
            os.close(each)
        for number in range(self.workers):
            requests, replies = own[2 * number : 2 * number + 2]
            self._requests.append(os.fdopen(requests, "w", encoding="utf-8"))
            threading.Thread(target=self._forward, args=(number, replies), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None or not self._is_used:
            with suppress(ProcessLookupError):
                os.killpg(self._forker.pid, signal.SIGKILL)
        for each in self._requests:
            with suppress(BrokenPipeError):  # a line that the worker did not read
                each.close()
        self._forker.wait()
        if self._forker.stdout is not None:
            self._forker.stdout.close()

    def send(self, worker: int, line: str) -> None:
        """Send a line to a worker; if it has ended, its end is a message."""
        self._is_used = True
        with suppress(BrokenPipeError):
            self._requests[worker].write(line + "\n")
            self._requests[worker].flush()

    def status(self, worker: int) -> str:
        """Return how a worker has ended."""
        status = self._status(worker)
        if status == -signal.SIGKILL:
            return "signal 9: the memory may not suffice for its pictures"
        return f"signal {-status}" if status < 0 else f"status {status}"

    def _status(self, worker: int) -> int:
        for line in self._forker.stdout or ():
            number, status = json.loads(line)
            if number == worker:
                return int(status)
        return self._forker.wait()  # it has failed itself

    def _forward(self, number: int, descriptor: int) -> None:
        with os.fdopen(descriptor, encoding="utf-8") as replies:
            for line in replies:
                self.messages.put((number, json.loads(line)))
        self.messages.put((number, None))
