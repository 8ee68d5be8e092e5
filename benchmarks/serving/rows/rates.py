"""Rates of loops, and what went wrong in a load that should have met no refusal."""

import time
from collections.abc import Callable

from benchmarks.serving.load.tally import Tally
from benchmarks.serving.setting import Round

FAILED = "failed"


def rate(call: Callable[[], object], duration_s: float) -> float:
    """Calls a second of a bare loop."""
    call()
    began = time.perf_counter()
    calls = 0
    while (elapsed := time.perf_counter() - began) < duration_s:
        call()
        calls += 1
    return calls / elapsed


def failures(tally: Tally, whose: str = "") -> Round:
    """How many requests were not answered with 200; anything but 0 makes a rate doubtful."""
    return {f"{FAILED} {whose}".strip(): float(tally.failed + tally.refused)}
