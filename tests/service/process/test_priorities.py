"""The engine's threads give way to the event loop."""

import os
import sys
import threading

import pytest

from oodguard.service.inference.batcher import lower_thread_priority

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority here")


def nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_thread_gives_way_and_the_others_stay_as_they_were() -> None:
    before, found = nice(), []

    def work() -> None:
        for _ in range(3):
            lower_thread_priority()
            found.append(nice())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert before == nice()
    # What is least urgent already stays so.
    assert found == [min(before + 10, 19), 19, 19]
