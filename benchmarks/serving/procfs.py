"""What Linux tells of processes under /proc."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PROC = Path("/proc")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

# Places in /proc/PID/stat behind the name, which ends at the last parenthesis.
PARENT, SESSION, USER_TICKS, SYSTEM_TICKS, STARTED = 1, 3, 11, 12, 19


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One process; a number that is given again belongs to one that began later."""

    pid: int
    started: int
    # Whoever loses its parent is still the same process.
    parent: int = field(compare=False)
    session: int = field(compare=False)


def read(pid: int) -> Process | None:
    """One process; None where it is gone."""
    fields = _stat(pid)
    if not fields:
        return None
    return Process(
        pid=pid,
        parent=int(fields[PARENT]),
        session=int(fields[SESSION]),
        started=int(fields[STARTED]),
    )


def family(pid: int) -> list[Process]:
    """A process that leads a session, and what it began: some begin sessions of their own."""
    numbers = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal()]
    others = [process for number in numbers if (process := read(number))]
    known = {pid}
    while grown := {
        each.pid for each in others if each.pid not in known and {each.parent, each.session} & known
    }:
        known |= grown
    return [each for each in others if each.pid in known]


def cpu_s(pid: int) -> float:
    """Processor seconds that a process has used so far; 0 where it is gone."""
    fields = _stat(pid)
    return (int(fields[USER_TICKS]) + int(fields[SYSTEM_TICKS])) * TICK_S if fields else 0.0


def peak_rss_bytes(pid: int) -> int:
    """The most memory that was resident since it began, or since `forget_peak`."""
    return int(_status(pid, "VmHWM").removesuffix("kB")) * 1024


def forget_peak(pid: int) -> None:
    """Make the memory that is resident now the peak."""
    (PROC / str(pid) / "clear_refs").write_text("5")


def send(process: Process, number: signal.Signals) -> None:
    """Send a signal to a process, unless it is gone."""
    if read(process.pid) == process:
        with suppress(ProcessLookupError):  # It ended meanwhile.
            os.kill(process.pid, number)


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    return bool(int(_status(pid, "SigCgt"), 16) >> (number - 1) & 1)


def _stat(pid: int) -> list[str]:
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _status(pid: int, name: str) -> str:
    lines = (PROC / str(pid) / "status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{name}:"))
    return line.partition(":")[2].strip()
