"""Values of metrics that outlive their worker."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

from oodguard.service.workers import shared_values
from oodguard.service.workers.shared_values import ValueMemory, keep_values


@pytest.fixture(name="memory")
def _memory(monkeypatch: pytest.MonkeyPatch) -> ValueMemory:
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    memory = ValueMemory()
    keep_values(memory)
    return memory


def read(memory: ValueMemory) -> Iterator[tuple[str, dict[str, str], float]]:
    return ((each.name, dict(each.labels), each.value) for each in memory.read())


def test_shared_values_are_those_of_counters_and_histograms(memory: ValueMemory) -> None:
    registry = CollectorRegistry()
    counter = Counter("c", "help", ["code"], registry=registry)
    counter.labels(200).inc(3)
    Histogram("h", "help", buckets=(1, 2), registry=registry).observe(1.5)
    Gauge("g", "help", registry=registry).set(7)
    assert list(read(memory)) == [
        ("c_total", {"code": "200"}, 3.0),
        ("h_sum", {}, 1.5),
        ("h_bucket", {"le": "1.0"}, 0.0),
        ("h_bucket", {"le": "2.0"}, 1.0),
        ("h_bucket", {"le": "+Inf"}, 0.0),
    ]
    # The library reads them as usual.
    assert registry.get_sample_value("c_total", {"code": "200"}) == 3
    assert registry.get_sample_value("h_bucket", {"le": "+Inf"}) == 1
    assert registry.get_sample_value("g") == 7


def test_shared_values_of_a_new_metric_replace_those_of_its_name(memory: ValueMemory) -> None:
    for amount in (5, 2):
        Counter("c", "help", registry=None).inc(amount)
    assert list(read(memory)) == [("c_total", {}, 2.0)]


def test_shared_values_are_cleared(memory: ValueMemory) -> None:
    Counter("c", "help", registry=None).inc(5)
    memory.clear()
    assert list(memory.read()) == []
    assert memory.values[0] == 0


def test_shared_values_beyond_the_memory_stay_in_the_process(
    memory: ValueMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_values, "NAMES_BYTES", 10)
    registry = CollectorRegistry()
    Counter("c", "help", registry=registry).inc()
    assert list(memory.read()) == []
    assert registry.get_sample_value("c_total") == 1
