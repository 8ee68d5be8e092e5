"""What Prometheus is told: requests, their durations, and what is being rejected."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from models.guard import Verdict
from service.served import ServedModel

# 0.5 ms, doubling to 4.096 s.
DURATION_BUCKETS_S = tuple(0.0005 * 2**power for power in range(14))
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)


class Metrics:
    """The metrics of one app, in a registry of its own.

    Children are looked up once: with labels, a counter's price is mostly finding its child.

    Attributes:
        registry: What `/metrics` renders.
    """

    def __init__(self, model: ServedModel) -> None:
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
        self._request_children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._describe_model(model)
        self._watch_decisions(model)
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

    def count_verdicts(self, verdicts: Sequence[Verdict]) -> int:
        """Count the verdicts of one request.

        Returns:
            How many are rejections.
        """
        for verdict in verdicts:
            score = verdict.scores[self._score_name]
            # One NaN would make the histogram's sum NaN for good.
            if math.isfinite(score):
                self._score.observe(score)
        rejected = sum(verdict.decision == "reject" for verdict in verdicts)
        self._decisions["reject"].inc(rejected)
        self._decisions["accept"].inc(len(verdicts) - rejected)
        return rejected

    def _describe_model(self, model: ServedModel) -> None:
        manifest, policy = model.bundle.manifest, model.guard.policy
        names = [manifest.name, manifest.version]
        Gauge(
            "oodguard_bundle_info",
            "1 for the bundle that is served.",
            ["model", "version", "sha256", "provider"],
            registry=self.registry,
        ).labels(*names, model.bundle.sha256, model.engine.providers[0]).set(1)
        Gauge(
            "oodguard_threshold",
            "Score above which an image is rejected.",
            ["model", "version", "score"],
            registry=self.registry,
        ).labels(*names, policy.score).set(model.guard.threshold)
        Gauge(
            "oodguard_alpha",
            "Share of in-distribution images that may be rejected.",
            ["model", "version"],
            registry=self.registry,
        ).labels(*names).set(policy.alpha)

    def _watch_decisions(self, model: ServedModel) -> None:
        manifest, policy = model.bundle.manifest, model.guard.policy
        names = [manifest.name, manifest.version]
        decisions = Counter(
            "oodguard_decisions_total",
            "Images judged, by decision.",
            ["model", "version", "decision"],
            registry=self.registry,
        )
        self._decisions = {name: decisions.labels(*names, name) for name in ("accept", "reject")}
        self._score_name = policy.score
        self._score = Histogram(
            "oodguard_score",
            "Deciding score of each image; a higher one is more out-of-distribution.",
            ["model", "version", "score"],
            buckets=score_buckets(model.bundle.calibration[policy.score], model.guard.threshold),
            registry=self.registry,
        ).labels(*names, policy.score)


def score_buckets(calibration: NDArray[np.float32], threshold: float) -> list[float]:
    """Upper bounds at quantiles of the calibration scores, and at the threshold.

    On in-distribution traffic each bucket's share is known; the threshold as a bound makes the
    rejected share exact.
    """
    quantiles = np.quantile(calibration.astype(np.float64), QUANTILES)
    return sorted({*quantiles.tolist(), threshold})
