"""A server and all of its processes as one: started, paused, resumed, measured and stopped."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

STOP_TIMEOUT_S = 20.0


class ServerProcess:
    """A started server in its own session; the end of the `with` block stops it.

    Args:
        command: The command line.
        environment: Variables in addition to those of this process.
        log: The file that receives its output.
        folder: Its working directory.
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

    def has_exited(self) -> bool:
        """Return whether the main process has exited."""
        return self._process.poll() is not None

    def output(self) -> str:
        """Return the end of the output, for an error message."""
        return self._log.read_text(errors="replace")[-2000:]

    def pause(self) -> None:
        """Stop all processes, so that they use no CPU while others are measured."""
        self._send_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue all processes."""
        self._send_all(signal.SIGCONT)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the main process."""
        self._process.send_signal(number)

    def exit_code(self, timeout_s: float) -> int | None:
        """Wait for the main process; return its exit code, or None after the timeout."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """Terminate the main process, then kill all remaining processes."""
        members = set(self.processes())
        self.resume()
        self.send_signal(signal.SIGTERM)
        self.exit_code(STOP_TIMEOUT_S)
        # Processes that were started during the shutdown are still in the session.
        for member in members | set(self.processes()):
            with suppress(psutil.NoSuchProcess):
                member.kill()
        self._process.wait()

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the session and their descendants in other sessions."""
        found: set[psutil.Process] = set()
        for process in psutil.process_iter():
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                if os.getsid(process.pid) == self.pid:
                    found |= {process, *process.children(recursive=True)}
        return list(found)

    def cpu_s(self) -> float:
        """Return the CPU seconds that the processes have used so far."""
        used = 0.0
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                used += times.user + times.system
        return used

    def reset_peak_rss(self) -> None:
        """Make the current resident memory of each process its peak."""
        for process in self.processes():
            reset_peak_rss(process.pid)

    def peak_rss_bytes(self) -> int:
        """Return the peak resident memory since `reset_peak_rss`, summed over the processes."""
        return sum(peak_rss_bytes(process.pid) for process in self.processes())

    def _send_all(self, number: signal.Signals) -> None:
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def wait_until(ready: Callable[[], bool], process: ServerProcess, *, timeout_s: float) -> float:
    """Wait until a server is ready; return the seconds that it took.

    Raises:
        RuntimeError: The server exited or was not ready in time. The message ends with its output.
    """
    start = time.perf_counter()
    while time.perf_counter() < start + timeout_s:
        if process.has_exited():
            raise RuntimeError(f"the server exited before it was ready:\n{process.output()}")
        if ready():
            return time.perf_counter() - start
        time.sleep(0.005)
    raise RuntimeError(f"the server was not ready within {timeout_s:g} s:\n{process.output()}")


def free_port() -> int:
    """Return a port of 127.0.0.1 on which no process listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    return port


def peak_rss_bytes(pid: int) -> int:
    """Return the peak resident memory of a process since `reset_peak_rss`, or since its start.

    psutil has no peak on Linux; see proc(5) for VmHWM.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def reset_peak_rss(pid: int) -> None:
    """Make the current resident memory of a process its peak; see proc(5) for clear_refs."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
