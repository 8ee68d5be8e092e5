"""Waiting for what has to come true, but not for ever."""

import time
from collections.abc import Callable

import pytest


def wait_for(
    true: Callable[[], object], what: str, *, within_s: float, every_s: float = 1.0
) -> float:
    """Return after how many seconds it was true; fail where it is not within `within_s`."""
    began = time.monotonic()
    while True:
        if true():
            return time.monotonic() - began
        if time.monotonic() - began > within_s:
            pytest.fail(f"waited {within_s:.0f} s for {what}")
        time.sleep(every_s)
