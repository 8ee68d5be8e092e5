"""Server processes: started, waited for, and how much memory they hold."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.e2e.conftest import GIVE_UP_S, environment, free_port

MIB = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A process that serves, and where."""

    process: subprocess.Popen[str]
    address: tuple[str, int]

    @property
    def url(self) -> str:
        """Where it answers."""
        return "http://{}:{}".format(*self.address)


def start(
    bundle: Path, log: Path, settings: Mapping[str, object], port: int
) -> subprocess.Popen[str]:
    """Start to serve a bundle; it is not ready yet.

    Args:
        bundle: Its folder.
        log: Where the server's log goes: a pipe that nobody reads would stop it.
        settings: OODGUARD_* variables.
        port: Where it listens.
    """
    command = [sys.executable, "-m", "oodguard.service", "serve", "--bundle", str(bundle)]
    variables = {name: str(value) for name, value in settings.items()}
    with log.open("a") as stderr:
        return subprocess.Popen(
            [*command, "--port", str(port)],
            stderr=stderr,
            text=True,
            env={**environment(), **variables},
        )


@contextlib.contextmanager
def serving(bundle: Path, log: Path, settings: Mapping[str, object]) -> Iterator[Served]:
    """Serve a bundle until the block ends; it is ready as the block begins."""
    port = free_port()
    with start(bundle, log, settings, port) as process:
        served = Served(process=process, address=("127.0.0.1", port))
        try:
            wait_until_ready(served.url)
            assert process.poll() is None, log.read_text()
            yield served
        finally:
            process.kill()


def wait_until_ready(url: str) -> float:
    """Wait for a server that may not even listen yet.

    Returns:
        How long it took, in seconds.
    """
    began = time.monotonic()
    while not _is_ready(url):
        assert time.monotonic() - began < GIVE_UP_S, f"{url} is not ready after {GIVE_UP_S} s"
        time.sleep(0.02)
    return time.monotonic() - began


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def resident_mib(pid: int) -> float:
    """What a process holds in memory now."""
    return _status_mib(pid, "VmRSS")


def peak_mib(pid: int) -> float:
    """The most that it held since `forget_peak`."""
    return _status_mib(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Begin to measure the peak anew: proc(5), /proc/PID/clear_refs."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status_mib(pid: int, name: str) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    match = re.search(rf"^{name}:\s+(\d+) kB$", text, re.M)
    assert match, text
    return int(match[1]) * 1024 / MIB
