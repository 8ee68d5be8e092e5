"""What Prometheus is told of the process: requests, their durations, and what was shed."""

from collections.abc import Callable, Iterator
from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from oodguard.service.errors import DenialReason, ShedReason
from oodguard.service.inference.model import LoadedModel
from oodguard.service.telemetry.model_metrics import ModelFamilies, ModelMetrics

# Somebody who reads one of these before and after a request of theirs learns where its score fell;
# the martingale is multiplied by a function of each p-value.
TELL_SCORES = frozenset(
    {
        "oodguard_score",
        "oodguard_threshold",
        "oodguard_p_value",
        "oodguard_drift_log_martingale",
    }
)


class WithoutScores(Collector):
    """A registry's metrics but for those that tell scores.

    Args:
        registry: All metrics.
    """

    def __init__(self, registry: Collector) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """Yield the families that may be told to everybody."""
        return (each for each in self._registry.collect() if each.name not in TELL_SCORES)


# 0.5 ms, doubling to 4.096 s.
DURATION_BUCKETS_S = tuple(0.0005 * 2**power for power in range(14))


class Metrics:
    """The metrics of one app, in a registry of its own.

    Children are looked up once: with labels, a counter's price is mostly finding its child.

    Attributes:
        registry: What `/metrics` renders.
    """

    def __init__(self, *, build: str, runtime: str) -> None:
        # A `_created` series beside every counter doubles what is stored and tells nothing.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "oodguard_requests_total",
            "Requests answered, by route and status code.",
            ["route", "code"],
            registry=self.registry,
        )
        self._durations = Histogram(
            "oodguard_request_duration_seconds",
            "Time from a request's headers to the end of its answer.",
            ["route"],
            buckets=DURATION_BUCKETS_S,
            registry=self.registry,
        )
        self._shed = Counter(
            "oodguard_shed_total",
            "Requests that were not judged though nothing was wrong with them, by reason.",
            ["reason"],
            registry=self.registry,
        )
        denied = Counter(
            "oodguard_denied_total",
            "Requests that were not let in, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self._denied = {reason: denied.labels(reason) for reason in get_args(DenialReason)}
        self._keys_read = Counter(
            "oodguard_keys_read_total",
            "Times that the keys were read again, by what came of it.",
            ["outcome"],
            registry=self.registry,
        )
        self._in_flight = Gauge(
            "oodguard_requests_in_flight",
            "Requests admitted and not answered.",
            registry=self.registry,
        )
        self._most_in_flight = Gauge(
            "oodguard_requests_in_flight_limit",
            "How many are admitted at a time.",
            registry=self.registry,
        )
        self._reloads = Counter(
            "oodguard_reloads_total",
            "Bundles looked at by a reload, by what came of it.",
            ["model", "outcome"],
            registry=self.registry,
        )
        Gauge(
            "oodguard_build_info",
            "1 for the release that runs, and its ONNX Runtime.",
            ["version", "onnxruntime"],
            registry=self.registry,
        ).labels(build, runtime).set(1)
        self._families = ModelFamilies(self.registry, DURATION_BUCKETS_S)
        self._request_children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        ProcessCollector(registry=self.registry)

    def count_request(self, route: str, code: int, duration_s: float) -> None:
        """Count one answered request."""
        children = self._request_children.get((route, code))
        if children is None:
            children = self._requests.labels(route, str(code)), self._durations.labels(route)
            self._request_children[route, code] = children
        counter, histogram = children
        counter.inc()
        histogram.observe(duration_s)

    def count_shed(self, reason: ShedReason) -> None:
        """Count a request that was not judged for no fault of its own."""
        self._shed.labels(reason).inc()

    def count_denied(self, reason: DenialReason) -> None:
        """Count a request that was not let in."""
        self._denied[reason].inc()

    def count_keys_read(self, outcome: Literal["loaded", "refused"]) -> None:
        """Count a second reading of the keys."""
        self._keys_read.labels(outcome).inc()

    def count_reload(self, model: str, outcome: str) -> None:
        """Count what a reload made of one bundle."""
        self._reloads.labels(model, outcome).inc()

    def watch_in_flight(self, pending: Callable[[], int], limit: int) -> None:
        """Tell how many requests are in flight, and how many may be."""
        self._in_flight.set_function(pending)
        self._most_in_flight.set(limit)

    def of(self, model: LoadedModel, depth: Callable[[], int]) -> ModelMetrics:
        """Make the metrics of one model; its `close` ends what is told of its present.

        Args:
            model: The model.
            depth: How many images wait for its engine.
        """
        return ModelMetrics(self._families, model, depth)
