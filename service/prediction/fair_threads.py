"""A thread pool in which clients take turns."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from oodguard.service.inference.turn_queue import TurnQueue

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Call(Generic[T]):
    cost: int
    function: Callable[[], T]
    future: "Future[T]"

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.function()
        except BaseException as error:  # noqa: BLE001 - becomes the future's, as in executors
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class FairThreads:
    """Threads that call functions of many clients; an idle thread takes the next client's first.

    Args:
        threads: Number of threads.
        name: Prefix of their names.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._calls: TurnQueue[_Call[object]] = TurnQueue()
        self._lock = threading.Lock()

    def submit(self, client: str, cost: int, function: Callable[[], T]) -> "Future[T]":
        """Call a function in a thread, when it is the client's turn.

        Args:
            client: The client.
            cost: By how much the turn of the client advances, in any unit.
            function: The function.
        """
        future: Future[T] = Future()
        with self._lock:
            self._calls.put(client, _Call(cost, function, future))  # type: ignore[arg-type]
        self._threads.submit(self._call_next)
        return future

    def close(self) -> None:
        """Stop the threads, and cancel what waits for them."""
        with self._lock:
            while self._calls:
                self._calls.first().future.cancel()
                self._calls.advance(0)
        self._threads.shutdown(cancel_futures=True)

    def _call_next(self) -> None:
        with self._lock:
            if not self._calls:
                # They were cancelled.
                return
            call = self._calls.first()
            self._calls.advance(call.cost)
        call.run()
