"""The priority of the threads that run the model."""

import os
import sys
import threading

import pytest

from oodguard.service.inference.thread_priority import lower_thread_priority

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority here")


def nice_value() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_thread_priority_is_lowered_for_the_calling_thread_only() -> None:
    before, found = nice_value(), []

    def work() -> None:
        for _ in range(3):
            lower_thread_priority()
            found.append(nice_value())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert nice_value() == before
    # 19 is the lowest priority.
    assert found == [min(before + 10, 19), min(before + 20, 19), 19]
