"""A thread pool in which clients take turns."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from oodguard.service.inference.thread_priority import lower_thread_priority
from oodguard.service.inference.turn_queue import TurnQueue

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rest(Generic[T]):
    """The rest of a function that has returned it: it is called at the client's next turn.

    Attributes:
        function: Called next; may return a rest, too.
        memory: Bytes that it takes.
    """

    function: "Callable[[], T | Rest[T]]"
    memory: int = 0


@dataclass(frozen=True, slots=True)
class _Call(Generic[T]):
    """A function of a client.

    Attributes:
        client: The client.
        function: The function.
        memory: Bytes that it takes while it runs.
        future: Receives its result.
    """

    client: str
    function: Callable[[], T | Rest[T]]
    memory: int
    future: "Future[T]"

    def run(self) -> Rest[T] | None:
        """Call the function, and return its rest, if there is one."""
        if not self.future.running() and not self.future.set_running_or_notify_cancel():
            return None
        try:
            result = self.function()
        except BaseException as error:  # noqa: BLE001 - becomes the future's, as in executors
            self.future.set_exception(error)
            # The error refers to this frame: without this line, the reference cycle would keep
            # what the function refers to in memory.
            del self
            return None
        if isinstance(result, Rest):
            return result
        self.future.set_result(result)
        return None


class FairThreads:
    """Threads that call the functions of many clients, in the order of a `TurnQueue`.

    The turn of a client advances by the CPU time of its functions. A long function that returns a
    `Rest` from time to time lets other clients and other functions of its client pass.

    The threads start when they are needed. The end of the process does not wait for a function that
    runs, as it would for the threads of an executor: decoding an image cannot be stopped.

    Args:
        threads: Number of threads.
        name: Prefix of their names.
        memory: Bytes that the functions that run may take together. The next function waits until
            it fits; one that needs more runs alone. None: they are not counted.
    """

    def __init__(self, threads: int, name: str, memory: int | None = None) -> None:
        self._max_threads = threads
        self._name = name
        self._calls: TurnQueue[_Call[object]] = TurnQueue()
        self._changed = threading.Condition()
        self._threads = self._idle = self._waiting = 0
        self._free = self._memory = memory or 0
        self._closed = False

    def submit(
        self, client: str, function: Callable[[], T | Rest[T]], memory: int = 0
    ) -> "Future[T]":
        """Call a function in a thread, when it is the client's turn.

        Args:
            client: The client.
            function: The function.
            memory: Bytes that it takes.

        Raises:
            RuntimeError: The threads are closed.
        """
        future: Future[T] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the threads are closed")
            self._put(_Call(client, function, memory, future))  # type: ignore[arg-type]
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

    def _put(self, call: _Call[object], turn: int = 0) -> None:
        self._calls.put(call.client, call, turn)
        self._waiting += 1

    def _work(self) -> None:
        lower_thread_priority()
        while taken := self._next_call():
            call, turn = taken
            started = time.thread_time_ns()
            rest = call.run()
            cost = time.thread_time_ns() - started
            with self._changed:
                self._free += self._need(call)
                self._calls.charge(call.client, cost)
                if rest is not None and not self._closed:
                    following = _Call(call.client, rest.function, rest.memory, call.future)
                    self._put(following, turn + cost)
                if self._memory:
                    self._changed.notify_all()
            # Otherwise its result would stay in memory until the next call.
            del call, taken, rest

    def _need(self, call: _Call[object]) -> int:
        return min(call.memory, self._memory)

    def _may_begin(self) -> bool:
        if not self._calls:
            return self._closed
        return self._need(self._calls.first()) <= self._free

    def _next_call(self) -> tuple[_Call[object], int] | None:
        """Wait for the next call, and return it with its client's turn; None: closed."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(self._may_begin)
            self._idle -= 1
            if not self._calls:
                return None
            call = self._calls.first()
            self._calls.advance(0)
            self._waiting -= 1
            self._free -= self._need(call)
            return call, self._calls.turn
