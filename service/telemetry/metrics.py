"""Prometheus metrics of the process: requests, load shedding, API keys, reloads."""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache, partial
from typing import Literal, TypeAlias, get_args

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
from oodguard.service.settings import POLICY_FILE
from oodguard.service.telemetry.drift_metrics import DriftFamilies, DriftMetrics
from oodguard.service.telemetry.model_metrics import ModelFamilies, ModelMetrics
from oodguard.service.telemetry.worker_metrics import WorkerMetrics

# The families that are functions of the scores, and not of the decisions alone. A client that reads
# one of them before and after its requests learns about its scores: the martingale is multiplied by
# a function of each p-value, the number of alarms orders repeated images, and the size of a sample
# depends on the digits of its scores; so does the number of samples that fit a limit on their size.
# Some reasons depend on the probabilities of the classes.
SCORE_METRICS = frozenset(
    {
        "oodguard_score",
        "oodguard_threshold",
        "oodguard_p_value",
        "oodguard_rejection_reasons",
        "oodguard_drift_log_martingale",
        "oodguard_drift_alarms",
        "oodguard_samples_held",
        "oodguard_samples_held_bytes",
    }
)

ReloadOutcome: TypeAlias = Literal["loaded", "policy-changed", "unchanged", "removed", "refused"]
"""The outcome of a reload for one bundle or the policy file; a label of oodguard_reloads_total."""

KeysOutcome: TypeAlias = Literal["loaded", "refused"]

# The model of a bundle that was refused and never served.
UNKNOWN_MODEL = "unknown"

# 0.5 ms, doubling to 4.096 s.
DURATION_BUCKETS_S = tuple(0.0005 * 2**power for power in range(14))


class WithoutScores(Collector):
    """The metrics of a registry except those that reveal scores."""

    def __init__(self, registry: Collector) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """Yield the families that do not reveal scores."""
        return (each for each in self._registry.collect() if each.name not in SCORE_METRICS)


class Metrics:
    """The metrics of one application, in their own registry.

    Label children are looked up once, because the look-up costs most of an increment. Every counter
    that an alert uses starts at 0: the increase of a series that begins with 5 is 0.

    Args:
        build: Version of the service.
        runtime: Version of ONNX Runtime.
        process_metrics: Whether the registry has the metrics `process_*` of this process.

    Attributes:
        registry: The registry that `/metrics` renders.
    """

    def __init__(self, *, build: str, runtime: str, process_metrics: bool = True) -> None:
        # A `_created` series for each counter doubles the number of series without a use.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        self._requests = counter(
            "oodguard_requests_total",
            "Completed requests by route and status code.",
            ["route", "code"],
        )
        self._durations = Histogram(
            "oodguard_request_duration_seconds",
            "Time from receiving a request's headers to the end of its response.",
            ["route"],
            buckets=DURATION_BUCKETS_S,
            registry=registry,
        )
        shed = counter(
            "oodguard_shed_total", "Valid requests that were not predicted, by reason.", ["reason"]
        )
        self._shed = {reason: shed.labels(reason) for reason in get_args(ShedReason)}
        denied = counter(
            "oodguard_denied_total",
            "Requests that failed authentication, authorization or the rate limit, by reason.",
            ["reason"],
        )
        self._denied = {reason: denied.labels(reason) for reason in get_args(DenialReason)}
        keys_read = counter(
            "oodguard_keys_read_total", "Reloads of the API keys, by outcome.", ["outcome"]
        )
        self._keys_read = {outcome: keys_read.labels(outcome) for outcome in get_args(KeysOutcome)}
        self._keys_reloaded = gauge(
            "oodguard_keys_last_reload_successful",
            "0 if the last reload refused the API keys, else 1.",
        )
        self._keys_reloaded.set(1)
        self._in_flight = gauge(
            "oodguard_requests_in_flight",
            "Requests with a complete body that are not yet answered.",
        )
        self._in_flight_limit = gauge(
            "oodguard_requests_in_flight_limit", "Maximum number of requests in flight."
        )
        self._reloads = counter(
            "oodguard_reloads_total",
            "Bundles and policy files checked by a reload, by outcome.",
            ["model", "outcome"],
        )
        for name in (UNKNOWN_MODEL, POLICY_FILE):
            self._reloads.labels(name, "refused")
        self._reloaded = gauge(
            "oodguard_last_reload_successful",
            "0 if the last reload refused a bundle of the model, or the policy file, else 1.",
            ["model"],
        )
        self._reloaded_models: frozenset[str] = frozenset()
        gauge(
            "oodguard_build_info",
            "1 for the running release and its ONNX Runtime version.",
            ["version", "onnxruntime"],
        ).labels(build, runtime).set(1)
        self._families = ModelFamilies(registry, DURATION_BUCKETS_S)
        self._drift_families = DriftFamilies(registry)
        WorkerMetrics(registry)
        self._of_request = cache(
            lambda route, code: (
                self._requests.labels(route, str(code)),
                self._durations.labels(route),
            )
        )
        if process_metrics:
            ProcessCollector(registry=registry)

    def publish_requests(self, route: str, codes: Iterable[int]) -> None:
        """Expose the counters of a route, so that they exist before its first request."""
        for code in codes:
            self._requests.labels(route, str(code))

    def count_request(self, route: str, code: int, duration_s: float) -> None:
        """Count a completed request."""
        counter, histogram = self._of_request(route, code)
        counter.inc()
        histogram.observe(duration_s)

    def count_shed(self, reason: ShedReason) -> None:
        """Count a valid request that was not predicted."""
        self._shed[reason].inc()

    def count_denied(self, reason: DenialReason) -> None:
        """Count a request that was denied."""
        self._denied[reason].inc()

    def count_keys_read(self, outcome: KeysOutcome) -> None:
        """Count a reload of the API keys."""
        self._keys_read[outcome].inc()

    def count_reload(self, model: str, outcome: ReloadOutcome) -> None:
        """Count the outcome of a reload for one bundle, or for the policy file."""
        self._reloads.labels(model, outcome).inc()

    def set_keys_reloaded(self, *, successful: bool) -> None:
        """Set whether the last reload accepted the API keys."""
        self._keys_reloaded.set(successful)

    def set_reloaded(self, models: Iterable[str], refused: Collection[str]) -> None:
        """Set for which models, and for the policy file, the last reload refused a file.

        Args:
            models: The served models.
            refused: Those of them with a refused file; also `unknown` and `policy.toml`.
        """
        shown = frozenset({UNKNOWN_MODEL, POLICY_FILE, *models, *refused})
        for model in self._reloaded_models - shown:
            self._reloaded.remove(model)
        for model in shown:
            self._reloaded.labels(model).set(model not in refused)
        self._reloaded_models = shown

    def observe_in_flight(self, requests: Callable[[], int], limit: int) -> None:
        """Read the number of requests in flight from `requests` at each scrape."""
        self._in_flight.set_function(requests)
        self._in_flight_limit.set(limit)

    def for_drift(self, name: str, version: str) -> DriftMetrics:
        """Create the metrics of the drift tests of one model."""
        return DriftMetrics(self._drift_families, name, version)

    def for_model(self, model: LoadedModel) -> ModelMetrics:
        """Create the metrics of one model."""
        for outcome in get_args(ReloadOutcome):
            self._reloads.labels(model.bundle.manifest.name, outcome)
        return ModelMetrics(self._families, model)
