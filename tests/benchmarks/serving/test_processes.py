import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from benchmarks.serving.processes import ServerProcess, wait_until

WAIT = "import time; time.sleep(60)"
# One child in the session, and one in its own session, as some servers have.
PARENT = """
import subprocess, sys, time
wait = [sys.executable, "-c", "import time; time.sleep(60)"]
subprocess.Popen(wait)
subprocess.Popen(wait, start_new_session=True)
print("ready", flush=True)
time.sleep(60)
"""
# Two forks share the memory of their parent.
FORKED = """
import os, time
data = bytes(range(256)) * (80 * 2**12)
if os.fork() and os.fork():
    print("ready", flush=True)
time.sleep(60)
"""
CHILD_DURING_SHUTDOWN = """
import signal, subprocess, sys, time
def start_child(*_):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(child.pid, flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, start_child)
print("ready", flush=True)
time.sleep(60)
"""

Start = Callable[..., ServerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(code: str, *, until: str = "") -> ServerProcess:
            command = [sys.executable, "-c", code]
            process = ServerProcess(command, environment={}, log=tmp_path / "log", folder=tmp_path)
            stack.enter_context(process)
            wait_until(lambda: until in process.output(), process, timeout_s=30)
            return process

        yield start


def has_status(process: psutil.Process, *statuses: str) -> bool:
    try:
        return process.status() in statuses
    except psutil.NoSuchProcess:
        return psutil.STATUS_DEAD in statuses


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_server_process_pauses_resumes_and_stops_all_its_processes(start: Start) -> None:
    process = start(PARENT, until="ready")
    members = process.processes()
    assert len(members) == 3
    assert psutil.Process(process.pid) in members
    for act, statuses in [
        (process.pause, [psutil.STATUS_STOPPED]),
        (process.resume, [psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING]),
        (process.stop, [psutil.STATUS_DEAD, psutil.STATUS_ZOMBIE]),
    ]:
        act()
        wait_for(lambda: all(has_status(each, *statuses) for each in members))  # noqa: B023


def test_server_process_stops_a_child_that_starts_during_the_shutdown(start: Start) -> None:
    process = start(CHILD_DURING_SHUTDOWN, until="ready")
    process.stop()
    child = int(process.output().split()[1])
    wait_for(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie")


def test_server_process_measures_cpu_time(start: Start) -> None:
    process = start("while True: pass")
    wait_for(lambda: process.cpu_s() >= 0.05)


def test_server_process_peak_memory_can_be_reset(start: Start) -> None:
    code = f"data = bytearray(80 * 2**20); del data; print('freed', flush=True); {WAIT}"
    process = start(code, until="freed")
    peak = process.peak_bytes()
    assert peak > 80 * 2**20
    process.reset_peak()
    assert process.peak_bytes() < peak - 60 * 2**20


def test_server_process_peak_memory_counts_shared_pages_once(start: Start) -> None:
    process = start(FORKED, until="ready")
    members = process.processes()
    assert len(members) == 3
    assert sum(each.memory_info().rss for each in members) > 240 * 2**20
    assert 80 * 2**20 < process.peak_bytes() < 160 * 2**20


def test_server_that_exits_early_is_reported_with_its_output(start: Start) -> None:
    with pytest.raises(RuntimeError, match="no such bundle"):
        start("raise SystemExit('no such bundle')", until="ready")


def test_server_that_is_not_ready_in_time_is_reported(start: Start) -> None:
    process = start(WAIT)
    with pytest.raises(RuntimeError, match=r"not ready within 0\.1 s"):
        wait_until(lambda: False, process, timeout_s=0.1)
