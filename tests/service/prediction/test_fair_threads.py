"""Threads in which clients take turns."""

import subprocess
import sys
import threading
from concurrent.futures import CancelledError

import pytest

from oodguard.service.prediction.fair_threads import FairThreads


def test_threads_call_the_functions_of_clients_in_turns() -> None:
    threads = FairThreads(1, "test")
    entered, opened = threading.Event(), threading.Event()
    calls: list[str] = []

    def hold() -> None:
        entered.set()
        assert opened.wait(20)

    held = threads.submit("a", 1, hold)
    assert entered.wait(20)
    futures = [threads.submit("a", 1, lambda: calls.append("a")) for _ in range(4)]
    futures += [threads.submit("b", 1, lambda: calls.append("b")) for _ in range(2)]
    opened.set()
    for future in (held, *futures):
        future.result(20)
    assert calls.index("b") <= 1
    assert calls[:4].count("b") == 2
    threads.close()


def test_threads_return_results_and_errors() -> None:
    threads = FairThreads(2, "test")
    assert threads.submit("a", 1, lambda: 7).result(20) == 7
    with pytest.raises(ZeroDivisionError):
        threads.submit("a", 1, lambda: 1 / 0).result(20)
    threads.close()


def test_threads_cancel_what_waits_and_do_not_wait_when_they_are_closed() -> None:
    threads = FairThreads(1, "test")
    entered, opened = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert opened.wait(20)

    held = threads.submit("a", 1, hold)
    assert entered.wait(20)
    waiting = threads.submit("a", 1, lambda: 7)
    threads.close()
    with pytest.raises(CancelledError):
        waiting.result(20)
    with pytest.raises(RuntimeError, match="closed"):
        threads.submit("a", 1, lambda: 7)
    assert not held.done()
    opened.set()
    held.result(20)


def test_threads_that_run_a_function_do_not_delay_the_end_of_the_process() -> None:
    code = """
import threading
from oodguard.service.prediction.fair_threads import FairThreads

threads = FairThreads(1, "test")
entered = threading.Event()
threads.submit("a", 1, lambda: (entered.set(), threading.Event().wait()))
entered.wait()
threads.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_threads_start_only_when_they_are_needed() -> None:
    threads = FairThreads(3, "only-needed")
    opened = threading.Event()
    futures = [threads.submit("a", 1, lambda: opened.wait(20)) for _ in range(5)]
    names = [each.name for each in threading.enumerate()]
    assert sum(name.startswith("only-needed") for name in names) == 3
    opened.set()
    assert all(future.result(20) for future in futures)
    threads.close()
