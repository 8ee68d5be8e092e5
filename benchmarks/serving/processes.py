"""A server and all of its processes as one: started, paused, resumed, measured and stopped."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

    def reset_peak(self) -> None:
        """Make the current memory of each process its peak."""
        reset_peak(self.processes())

    def peak_bytes(self) -> int:
        """Return the peak memory since `reset_peak`, at most; see `peak_bytes`."""
        return peak_bytes(self.processes())

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


def process_tree(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def used_bytes(processes: Iterable[psutil.Process]) -> int:
    """Return the memory of processes without the pages of files, which the system can drop.

    A page that n processes share counts one n-th for each (proc(5), smaps_rollup).
    """
    return sum(_of_each(processes, _used_bytes))


def peak_bytes(processes: Iterable[psutil.Process]) -> int:
    """Return the peak memory of processes since `reset_peak` or their start, at most.

    Linux has no peak of proportional memory. This is the present one, and what each process has
    released since the peak of its resident memory. Peaks at different times are added.
    """
    return sum(_of_each(processes, _peak_bytes))


def reset_peak(processes: Iterable[psutil.Process]) -> None:
    """Make the current memory of each process its peak; see proc(5) for clear_refs."""
    for each in processes:
        with suppress(FileNotFoundError, ProcessLookupError):
            Path(f"/proc/{each.pid}/clear_refs").write_text("5")


def _of_each(
    processes: Iterable[psutil.Process], measure: Callable[[psutil.Process], int]
) -> Iterator[int]:
    for each in processes:
        with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            yield measure(each)


def _used_bytes(process: psutil.Process) -> int:
    return sum(_kibibytes(process, "smaps_rollup", "Pss_Anon", "Pss_Shmem"))


def _peak_bytes(process: psutil.Process) -> int:
    # psutil has no peak on Linux.
    highest, now = _kibibytes(process, "status", "VmHWM", "VmRSS")
    return _used_bytes(process) + max(0, highest - now)


def _kibibytes(process: psutil.Process, file: str, *names: str) -> list[int]:
    """Return fields of a file of a process in bytes; the file has them in kibibytes."""
    lines = Path(f"/proc/{process.pid}/{file}").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    # A process that has ended has no memory.
    return [1024 * int(fields.get(name, "0").split()[0]) for name in names]
