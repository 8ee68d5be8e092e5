"""Threads in which clients take turns."""

import gc
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import CancelledError
from functools import partial

import pytest

from oodguard.service.prediction.fair_threads import FairThreads, Rest


def test_threads_call_the_functions_of_clients_in_turns() -> None:
    threads = FairThreads(1, "test")
    entered, opened = threading.Event(), threading.Event()
    calls: list[str] = []

    def hold() -> None:
        entered.set()
        assert opened.wait(20)

    held = threads.submit("a", hold)
    assert entered.wait(20)
    futures = [threads.submit("a", lambda: calls.append("a")) for _ in range(4)]
    futures += [threads.submit("b", lambda: calls.append("b")) for _ in range(2)]
    opened.set()
    for future in (held, *futures):
        future.result(20)
    assert calls.index("b") <= 1
    assert calls[:4].count("b") == 2
    threads.close()


def test_threads_return_results_and_errors() -> None:
    threads = FairThreads(2, "test")
    assert threads.submit("a", lambda: 7).result(20) == 7
    with pytest.raises(ZeroDivisionError):
        threads.submit("a", lambda: 1 / 0).result(20)
    threads.close()


def test_threads_cancel_what_waits_and_do_not_wait_when_they_are_closed() -> None:
    threads = FairThreads(1, "test")
    entered, opened = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert opened.wait(20)

    held = threads.submit("a", hold)
    assert entered.wait(20)
    waiting = threads.submit("a", lambda: 7)
    threads.close()
    with pytest.raises(CancelledError):
        waiting.result(20)
    with pytest.raises(RuntimeError, match="closed"):
        threads.submit("a", lambda: 7)
    assert not held.done()
    opened.set()
    held.result(20)


def test_threads_that_run_a_function_do_not_delay_the_end_of_the_process() -> None:
    code = """
import threading
from oodguard.service.prediction.fair_threads import FairThreads

threads = FairThreads(1, "test")
entered = threading.Event()
threads.submit("a", lambda: (entered.set(), threading.Event().wait()))
entered.wait()
threads.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_threads_start_only_when_they_are_needed() -> None:
    threads = FairThreads(3, "only-needed")
    opened = threading.Event()
    futures = [threads.submit("a", lambda: opened.wait(20)) for _ in range(5)]
    names = [each.name for each in threading.enumerate()]
    assert sum(name.startswith("only-needed") for name in names) == 3
    opened.set()
    assert all(future.result(20) for future in futures)
    threads.close()


class Held:
    """A function that waits until it is opened, in the threads that it was submitted to."""

    def __init__(self, threads: FairThreads, client: str, memory: int = 0) -> None:
        self._entered, self.opened = threading.Event(), threading.Event()
        self.future = threads.submit(client, self, memory)
        assert self._entered.wait(20)

    def __call__(self) -> None:
        self._entered.set()
        assert self.opened.wait(20)


def test_threads_let_others_pass_between_the_parts_of_a_function() -> None:
    threads = FairThreads(1, "test")
    held = Held(threads, "a")
    calls: list[str] = []

    def in_parts(name: str, count: int) -> Rest[str] | str:
        calls.append(name)
        time_s = time.thread_time() + 0.001
        while time.thread_time() < time_s:
            pass
        return Rest(partial(in_parts, name, count - 1)) if count > 1 else name

    names = {"a": "a", "a, too": "a", "b": "b"}
    futures = {
        name: threads.submit(client, partial(in_parts, name, 3)) for name, client in names.items()
    }
    held.opened.set()
    assert {name: future.result(20) for name, future in futures.items()} == dict(
        zip(names, names, strict=True)
    )
    # In turns: half of the first parts are those of b, and each function of a has its parts.
    assert calls[:6].count("b") == 3
    assert calls.index("a, too") < 4
    threads.close()


def test_threads_report_the_error_of_a_later_part() -> None:
    threads = FairThreads(1, "test", memory=10)

    def fail() -> Rest[int] | int:
        return Rest(lambda: 1 // 0, 10)

    for _ in range(2):  # the memory is free again
        with pytest.raises(ZeroDivisionError):
            threads.submit("a", fail, 10).result(20)
    threads.close()


def test_threads_free_a_function_that_fails_without_a_garbage_collection() -> None:
    threads = FairThreads(1, "test")

    class Failing:
        def __call__(self) -> None:
            raise ValueError

    function = Failing()
    freed = threading.Event()
    weakref.finalize(function, freed.set)
    gc.collect()
    gc.disable()
    try:
        threads.submit("a", function)
        del function
        assert freed.wait(20)
    finally:
        gc.enable()
    threads.close()


def test_threads_run_at_the_same_time_what_fits_into_their_memory() -> None:
    threads = FairThreads(3, "test", memory=10)
    held = [Held(threads, "a", 4), Held(threads, "a", 6)]
    larger = threads.submit("b", lambda: None, 11)
    for each in held:
        assert not larger.done()
        each.opened.set()
        each.future.result(20)
    larger.result(20)
    threads.close()


def test_threads_run_what_needs_much_memory_before_later_functions_that_need_little() -> None:
    threads = FairThreads(2, "test", memory=10)
    held = Held(threads, "a", 5)
    calls: list[int] = []
    futures = [threads.submit("a", partial(calls.append, memory), memory) for memory in (10, 1)]
    held.opened.set()
    for future in futures:
        future.result(20)
    assert calls == [10, 1]
    threads.close()


def test_threads_give_free_memory_to_the_client_whose_turn_it_is() -> None:
    threads = FairThreads(2, "test", memory=10)
    held = Held(threads, "a", 10)
    calls: list[str] = []
    # The second thread waits for memory, and must not have taken the function of a already.
    futures = [threads.submit(client, partial(calls.append, client), 10) for client in "aab"]
    held.opened.set()
    for future in futures:
        future.result(20)
    assert calls.index("b") <= 1
    threads.close()
