"""The memory of the process, and the limit that the system sets: a cgroup, or the machine."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryLimit:
    """The largest memory of the process in bytes, and what sets it."""

    bytes: int
    source: str


def resident_bytes() -> int:
    """Return the resident memory of this process; 0 where Linux's /proc is missing."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def shared_bytes() -> int:
    """Return the part of the resident memory that several processes of a program share: files."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[2]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def memory_limit(root: Path = Path("/")) -> MemoryLimit | None:
    """Return the lowest limit of the control groups (v1 and v2) and of the machine.

    Args:
        root: The root of the file system.

    Returns:
        None where the memory of the machine is unknown.
    """
    limits = [*_cgroup_limits(root)]
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        limits.append(MemoryLimit(bytes=machine, source="the machine"))
    except (OSError, ValueError):
        pass
    return min(limits, key=lambda limit: limit.bytes, default=None)


def _cgroup_limits(root: Path) -> Iterator[MemoryLimit]:
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        # ID:CONTROLLERS:PATH; version 2 has no controllers (man 7 cgroups).
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mount, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            mount, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be the one outside of it; then only the root exists.
        group = mount / path.lstrip("/")
        for folder in [group, *group.parents]:
            if limit := _read_limit(folder / name):
                yield limit
            if folder == mount:
                break


def _read_limit(file: Path) -> MemoryLimit | None:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return MemoryLimit(bytes=int(text), source=f"the cgroup ({file})") if text != "max" else None
