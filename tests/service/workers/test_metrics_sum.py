"""The metrics of several workers as those of one service."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric

from oodguard.service.workers.metrics_sum import (
    Collected,
    from_json,
    retired_metrics,
    sum_metrics,
    to_json,
)
from oodguard.service.workers.shared_values import Series


def part(  # noqa: PLR0913
    *,
    counted: float = 0,
    code: str = "200",
    observed: float = 0.5,
    bound: float = 1,
    in_flight: float = 0,
    alpha: float = 0.05,
) -> list[Metric]:
    """The metrics of a worker."""
    registry = CollectorRegistry()
    Counter("c", "help", ["code"], registry=registry).labels(code).inc(counted)
    Histogram("h", "help", buckets=(bound,), registry=registry).observe(observed)
    Gauge("oodguard_requests_in_flight", "help", registry=registry).set(in_flight)
    Gauge("oodguard_alpha", "help", registry=registry).set(alpha)
    return list(registry.collect())


def value(families: list[Metric], name: str, **labels: str) -> float | None:
    found = [
        each.value
        for family in families
        for each in family.samples
        if each.name == name and each.labels == labels
    ]
    assert len(found) < 2
    return found[0] if found else None


def test_metrics_sum_adds_counters_histograms_and_shared_gauges() -> None:
    total = sum_metrics(
        [
            part(counted=3, observed=0.5, in_flight=2),
            part(counted=4, observed=5, in_flight=1),
            part(counted=1, code="429", observed=0.25),
        ]
    )
    assert value(total, "c_total", code="200") == 7
    assert value(total, "c_total", code="429") == 1
    assert value(total, "h_bucket", le="1.0") == 2
    assert value(total, "h_bucket", le="+Inf") == value(total, "h_count") == 3
    assert value(total, "h_sum") == 5.75
    assert value(total, "oodguard_requests_in_flight") == 3
    assert value(total, "oodguard_alpha") == 0.05


def test_metrics_sum_shows_a_refusal_of_any_worker() -> None:
    parts = []
    for successful in (1, 0, 1):
        registry = CollectorRegistry()
        Gauge("oodguard_keys_last_reload_successful", "help", registry=registry).set(successful)
        gauge = Gauge("oodguard_last_reload_successful", "help", ["model"], registry=registry)
        gauge.labels("a").set(1)
        gauge.labels("b").set(1 - successful)
        parts.append(registry.collect())
    total = sum_metrics(parts)
    assert value(total, "oodguard_keys_last_reload_successful") == 0
    assert value(total, "oodguard_last_reload_successful", model="a") == 1
    assert value(total, "oodguard_last_reload_successful", model="b") == 0


def test_metrics_sum_does_not_add_histograms_with_other_buckets() -> None:
    total = sum_metrics([part(observed=0.5, bound=1), part(observed=0.5, bound=2)])
    assert value(total, "h_count") == 1
    assert value(total, "h_bucket", le="2.0") is None


def test_metrics_sum_survives_json() -> None:
    families = part()
    passed = Collected(from_json(to_json(families)))
    assert generate_latest(passed) == generate_latest(Collected(families))


def test_retired_metrics_have_cumulative_buckets() -> None:
    ended = [
        Series("c", "counter", "c_total", {"code": "200"}, 5),
        Series("h", "histogram", "h_sum", {}, 9),
        Series("h", "histogram", "h_bucket", {"le": "+Inf"}, 1),
        Series("h", "histogram", "h_bucket", {"le": "1.0"}, 2),
    ]
    total = sum_metrics([part(counted=1, observed=0.5), retired_metrics(ended)])
    assert value(total, "c_total", code="200") == 6
    assert value(total, "h_bucket", le="1.0") == 3
    assert value(total, "h_bucket", le="+Inf") == value(total, "h_count") == 4
    assert value(total, "h_sum") == 9.5
    assert [each.documentation for each in total if each.name == "c"] == ["help"]
