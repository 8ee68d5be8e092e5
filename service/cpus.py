"""How many processors this process may really use."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def available_cpus(cgroup: Path = CGROUP) -> int:
    """Count the processors this process may use, at least 1.

    The smaller of the CPU affinity and the container's quota, rounded up: a pool sized by the
    machine's cores in a container of two is throttled for most of every period.

    Args:
        cgroup: Where the control group's files are mounted.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(cores, math.ceil(_quota(cgroup))))


def _quota(cgroup: Path) -> float:
    """The quota in processors; the number of cores where no quota is set."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        quota, period = _legacy(cgroup)
    if not (quota.isdigit() and period.isdigit()) or int(period) == 0:
        return float(os.cpu_count() or 1)
    return int(quota) / int(period)


def _legacy(cgroup: Path) -> tuple[str, str]:
    """Quota and period as cgroup v1 writes them; -1 is no quota."""
    try:
        return (
            (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip(),
            (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip(),
        )
    except OSError:
        return "max", "100000"
