"""A thread pool in which clients take turns."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
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

    They start when they are needed. The end of the process does not wait for a function that runs,
    as it would for the threads of an executor: decoding an image cannot be stopped.

    Args:
        threads: Number of threads.
        name: Prefix of their names.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._max_threads = threads
        self._name = name
        self._calls: TurnQueue[_Call[object]] = TurnQueue()
        self._changed = threading.Condition()
        self._threads = self._idle = self._waiting = 0
        self._closed = False

    def submit(self, client: str, cost: int, function: Callable[[], T]) -> "Future[T]":
        """Call a function in a thread, when it is the client's turn.

        Args:
            client: The client.
            cost: By how much the turn of the client advances, in any unit.
            function: The function.

        Raises:
            RuntimeError: The threads are closed.
        """
        future: Future[T] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the threads are closed")
            self._calls.put(client, _Call(cost, function, future))  # type: ignore[arg-type]
            self._waiting += 1
            if self._waiting > self._idle and self._threads < self._max_threads:
                name = f"{self._name}_{self._threads}"
                self._threads += 1
                threading.Thread(target=self._work, name=name, daemon=True).start()
            self._changed.notify()
        return future

    def close(self) -> None:
        """Cancel what waits, and end the threads once their functions return, without waiting."""
        with self._changed:
            self._closed = True
            while self._calls:
                self._calls.first().future.cancel()
                self._calls.advance(0)
            self._changed.notify_all()

    def _work(self) -> None:
        while call := self._next_call():
            call.run()
            # Otherwise its result would stay in memory until the next call.
            del call

    def _next_call(self) -> "_Call[object] | None":
        """Wait for the next call; None: the threads are closed."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._calls or self._closed)
            self._idle -= 1
            if not self._calls:
                return None
            call = self._calls.first()
            self._calls.advance(call.cost)
            self._waiting -= 1
            return call
