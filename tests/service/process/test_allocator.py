"""What a process has freed, it no longer holds."""

import subprocess
import sys

import pytest

SCRIPT = """
import re, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from oodguard.service.server.process import return_freed_memory

def resident_mib():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

def fill(_):
    blocks = [bytearray(b"x" * 16 * 2**20) for _ in range(4)]

if sys.argv[1] == "set":
    assert return_freed_memory()
with ThreadPoolExecutor(2) as threads:
    before = resident_mib()
    for _ in range(3):
        list(threads.map(fill, range(2)))
    print(resident_mib() - before)
"""


def kept_mib(how: str) -> float:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True
    )
    return float(run.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is of Linux")
def test_blocks_that_threads_have_freed_are_given_back() -> None:
    # Left to itself the library keeps some of the 128 MiB; how much depends on the threads.
    assert kept_mib("set") < 2
