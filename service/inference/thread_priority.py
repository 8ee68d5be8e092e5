"""Decode images and run the model at a lower CPU priority than the event loop.

Without it, runs of the model keep the event loop waiting for a CPU by milliseconds per turn, which
is too long to reject requests in time. At twice the peak load of the shipped bundle, the median
latency of a 429 is 3 to 7 times as long without it (`docs/decisions/0021`). Decode threads of a
higher priority would keep the model waiting: most bodies of a flood with 256 images each would be
parsed and never predicted.
"""

import os
import sys
import threading

NICE_INCREMENT = 10
MAX_NICE = 19


def lower_thread_priority() -> None:
    """Lower the priority of the calling thread on Linux, where threads have their own priority."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        current = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(current + NICE_INCREMENT, MAX_NICE))
