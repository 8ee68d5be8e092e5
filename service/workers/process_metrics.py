"""The metrics `process_*` of the service: those of all its processes together."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

_TICKS = os.sysconf("SC_CLK_TCK")

# Fields of /proc/PID/stat after the name in parentheses: man 5 proc, fields 14 to 17.
_CPU_TIMES = slice(11, 15)

SUMMED = frozenset({"process_resident_memory_bytes", "process_virtual_memory_bytes"})
"""Added over the processes. Of all others the largest value is used, since the limit of open files
holds for each process, and the start of the service is that of its first process."""


class ServiceProcesses(Collector):
    """The processes of the service as one.

    Args:
        pids: Returns their ids: the first process, and those that it has started.
    """

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids

    def collect(self) -> Iterator[Metric]:
        """Yield the families of `prometheus_client.ProcessCollector`."""
        pids = list(self._pids())
        of_process = [_families(pid) for pid in pids]
        for name, family in of_process[0].items():
            values = [each[name].samples[0].value for each in of_process if name in each]
            total = sum(values) if name in SUMMED else max(values)
            if name == "process_start_time_seconds":
                total = values[0]
            sample = family.samples[0]
            if name == "process_resident_memory_bytes":
                total = sum(map(proportional_bytes, pids)) or total
            family.samples = [sample._replace(value=total)]
            yield family
        yield CounterMetricFamily(
            "process_cpu_seconds",
            "Total user and system CPU time spent in seconds.",
            value=sum(map(cpu_seconds, pids)),
        )


def _families(pid: int) -> dict[str, Metric]:
    collector = ProcessCollector(pid=lambda: pid, registry=None)
    return {each.name: each for each in collector.collect() if each.name != "process_cpu_seconds"}


def proportional_bytes(pid: int) -> int:
    """Return the memory of a process, of which pages that n processes share count one n-th each."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of its children that have ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    return sum(map(int, stat.rpartition(")")[2].split()[_CPU_TIMES])) / _TICKS
