"""A server with all of its children as one: started, paused, resumed, measured and stopped."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from benchmarks.serving import procfs

STOPS_WITHIN_S = 20.0


class ServerProcess:
    """A started server, in a session of its own; the end of its `with` block stops it.

    Args:
        command: What to start.
        environment: Variables beside those of this process.
        log: Where its output goes.
        folder: Where it is started.
    """

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], log: Path, folder: Path
    ) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                cwd=folder,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ended(self) -> bool:
        """Whether the first process is gone."""
        return self._process.poll() is not None

    def said(self) -> str:
        """The end of its output, for an error."""
        return self._log.read_text(errors="replace")[-2000:]

    def pause(self) -> None:
        """Let it use no processor while others are measured."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again."""
        self._signal_all(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask the first process to end."""
        self._process.terminate()

    def hang_up(self) -> None:
        """Send SIGHUP to the first process."""
        self._process.send_signal(signal.SIGHUP)

    def exit_code(self, timeout_s: float) -> int | None:
        """Wait for the first process; its exit code, None where it still runs."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """End it and whatever it started."""
        family = procfs.family(self.pid)
        self.resume()
        self.terminate()
        self.exit_code(STOPS_WITHIN_S)
        # What it begot in its last moments is left in its session.
        orphans = [each for each in procfs.family(self.pid) if each.pid != self.pid]
        for member in [*family, *orphans]:
            procfs.send(member, signal.SIGKILL)
        self._process.wait()

    def cpu_s(self) -> float:
        """Processor seconds that its processes have used so far."""
        return sum(procfs.cpu_s(member.pid) for member in procfs.family(self.pid))

    def forget_peak(self) -> None:
        """Begin to measure `peak_rss_bytes` anew."""
        for member in procfs.family(self.pid):
            procfs.forget_peak(member.pid)

    def peak_rss_bytes(self) -> int:
        """The most memory that was resident, summed over its processes."""
        return sum(procfs.peak_rss_bytes(member.pid) for member in procfs.family(self.pid))

    def catches(self, number: signal.Signals) -> bool:
        """Whether the first process has a handler for a signal."""
        return procfs.catches(self.pid, number)

    def _signal_all(self, number: signal.Signals) -> None:
        for member in procfs.family(self.pid):
            procfs.send(member, number)


def wait_until(ready: Callable[[], bool], process: ServerProcess, *, timeout_s: float) -> float:
    """Wait until a server is ready; seconds it took.

    Raises:
        RuntimeError: It ended, or was not ready in time; with the end of its output.
    """
    began = time.perf_counter()
    while time.perf_counter() < began + timeout_s:
        if process.ended():
            raise RuntimeError(f"the server ended before it was ready:\n{process.said()}")
        if ready():
            return time.perf_counter() - began
        time.sleep(0.005)
    raise RuntimeError(f"the server was not ready within {timeout_s:g} s:\n{process.said()}")
