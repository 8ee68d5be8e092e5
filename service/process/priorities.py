"""Which threads go first where there are fewer processors than work."""

import os
import sys
import threading

NICER_BY = 10
LEAST_URGENT = 19


def give_way() -> None:
    """Let the other threads of this machine go before the calling one.

    Runs of the model would else keep the event loop waiting for a processor, by milliseconds a
    turn: too long for it to refuse what is too much. They take what is left, which is nearly all.
    """
    # Elsewhere a process has a priority and its threads have none of their own.
    if sys.platform == "linux":
        thread = threading.get_native_id()
        own = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(own + NICER_BY, LEAST_URGENT))
