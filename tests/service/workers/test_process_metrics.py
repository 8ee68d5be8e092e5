"""The metrics of all processes of a service."""

import os

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector

from oodguard.service.workers.process_metrics import ServiceProcesses


def test_service_processes_sum_memory_and_time_and_compare_files() -> None:
    alone, twice, ended = CollectorRegistry(), CollectorRegistry(), CollectorRegistry()
    ProcessCollector(registry=alone)
    twice.register(ServiceProcesses(lambda: [os.getpid(), os.getpid()]))
    # A process that has ended meanwhile is left out.
    ended.register(ServiceProcesses(lambda: [os.getpid(), 2**22 + 1]))
    before, after, without = (
        {each.name: each.samples[0].value for each in registry.collect()}
        for registry in (alone, twice, ended)
    )
    assert set(after) == set(before) == set(without)
    # `ProcessCollector` does not count the children that have ended.
    before["process_cpu_seconds"] = sum(os.times()[:4])
    for name in ("process_virtual_memory_bytes", "process_cpu_seconds"):
        assert after[name] == pytest.approx(2 * before[name], rel=0.2)
        assert without[name] == pytest.approx(before[name], rel=0.2)
    for name in ("process_max_fds", "process_start_time_seconds"):
        assert after[name] == before[name] == without[name]
    assert 0 < without["process_resident_memory_bytes"] < after["process_resident_memory_bytes"]
