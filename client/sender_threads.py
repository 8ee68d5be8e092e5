"""Threads that send requests, for which the interpreter does not wait when it ends."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Result = TypeVar("Result")


class SenderThreads(Generic[Result]):
    """Run calls in a few daemon threads, which start as they are needed.

    The interpreter waits for the threads of a ThreadPoolExecutor and for all of its calls, also if
    their results are no longer awaited: a service that does not answer would delay the end of the
    process until the deadline of the requests.

    Args:
        count: The number of threads.
        name: The start of their names.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._started = 0
        self._calls = SimpleQueue[tuple[Future[Result], Callable[[], Result]] | None]()

    def submit(self, call: Callable[[], Result]) -> Future[Result]:
        """Run a call in one of the threads."""
        future = Future[Result]()
        self._calls.put((future, call))
        if self._started < self._count:
            name = f"{self._name}_{self._started}"
            self._started += 1
            threading.Thread(target=self._work, name=name, daemon=True).start()
        return future

    def close(self) -> None:
        """Drop the calls that have not begun, and end each thread after its present call."""
        try:
            while True:
                self._calls.get_nowait()
        except Empty:
            pass
        for _ in range(self._started):
            self._calls.put(None)

    def _work(self) -> None:
        while (item := self._calls.get()) is not None:
            future, call = item
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - raised where the result is awaited
                future.set_exception(error)
            else:
                future.set_result(result)
            del item, future, call
