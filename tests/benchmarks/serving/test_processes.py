"""A server and its children are paused, ended and measured as one."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.serving import procfs
from benchmarks.serving.processes import ServerProcess, wait_until

# A child in the session and one in a session of its own, as some servers have.
PARENT = """
import subprocess, sys, time
wait = [sys.executable, "-c", "import time; time.sleep(60)"]
subprocess.Popen(wait)
subprocess.Popen(wait, start_new_session=True)
print("ready", flush=True)
time.sleep(60)
"""

LAST_CHILD = """
import signal, subprocess, sys, time
def beget(*_):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(child.pid, flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, beget)
print("ready", flush=True)
time.sleep(60)
"""

WAIT = "import time; time.sleep(60)"

Start = Callable[[str], ServerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(code: str) -> ServerProcess:
            command = [sys.executable, "-c", code]
            log = tmp_path / "log"
            return stack.enter_context(
                ServerProcess(command, environment={}, log=log, folder=tmp_path)
            )

        yield begin


def state(pid: int) -> str:
    """R, S, T and so on; Z or nothing for one that has ended."""
    try:
        text = (procfs.PROC / str(pid) / "stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[0]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_family_is_paused_resumed_and_ended_as_one(start: Start) -> None:
    process = start(PARENT)
    wait_until(lambda: "ready" in process.said(), process, timeout_s=30)
    pids = [member.pid for member in procfs.family(process.pid)]
    assert len(pids) == 3
    assert process.pid in pids
    process.pause()
    wait_for(lambda: all(state(pid) == "T" for pid in pids))
    process.resume()
    wait_for(lambda: all(state(pid) in {"S", "R"} for pid in pids))
    process.stop()
    wait_for(lambda: all(state(pid) in {"", "Z"} for pid in pids))


def test_what_a_server_begets_while_it_ends_is_ended_too(start: Start) -> None:
    process = start(LAST_CHILD)
    wait_until(lambda: "ready" in process.said(), process, timeout_s=30)
    process.stop()
    child = int(process.said().split()[1])
    wait_for(lambda: state(child) in {"", "Z"})


def test_processor_time_of_a_family_is_summed(start: Start) -> None:
    process = start("while True: pass")
    wait_for(lambda: process.cpu_s() >= 0.05)
    process.pause()
    # Its last slice may still be written down.
    wait_for(lambda: state(process.pid) == "T")
    used = process.cpu_s()
    time.sleep(0.05)
    assert process.cpu_s() == used


def test_the_peak_of_memory_can_be_forgotten(start: Start) -> None:
    process = start(f"data = bytearray(80 * 2**20); del data; print('freed', flush=True); {WAIT}")
    wait_until(lambda: "freed" in process.said(), process, timeout_s=30)
    peak = process.peak_rss_bytes()
    assert peak > 80 * 2**20
    process.forget_peak()
    assert process.peak_rss_bytes() < peak - 60 * 2**20


def test_a_handler_for_a_signal_is_seen(start: Start) -> None:
    catch = "import signal; signal.signal(signal.SIGHUP, print); print('set', flush=True)"
    process = start(f"{catch}; {WAIT}")
    wait_until(lambda: "set" in process.said(), process, timeout_s=30)
    assert process.catches(signal.SIGHUP)
    assert not process.catches(signal.SIGUSR2)


def test_a_server_that_ends_early_is_told_with_what_it_said(start: Start) -> None:
    process = start("raise SystemExit('no such bundle')")
    with pytest.raises(RuntimeError, match="no such bundle"):
        wait_until(lambda: False, process, timeout_s=30)


def test_a_server_that_is_never_ready_is_given_up(start: Start) -> None:
    process = start(WAIT)
    with pytest.raises(RuntimeError, match=r"not ready within 0\.1 s"):
        wait_until(lambda: False, process, timeout_s=0.1)
