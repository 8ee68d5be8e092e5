"""Prometheus metrics of each model: queue, batches, policy, verdicts."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from oodguard.models.reasons import ReasonCode
from oodguard.models.verdicts import Decision, Verdict
from oodguard.service.inference.model import LoadedModel
from oodguard.service.inference.queue import SkipReason, Timings

MODEL = ("model", "version")

BATCH_BUCKETS = tuple(2**power for power in range(13))

P_VALUE_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.05, *(n / 10 for n in range(1, 11)))

SCORE = "oodguard_score"

SCORE_HELP = "Deciding score of each image; a higher score is more out-of-distribution."

SCORE_QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)

ScoreLabels: TypeAlias = tuple[str, str, str]
"""Model, version and score."""


def score_buckets(calibration: NDArray[np.float32], threshold: float | None) -> list[float]:
    """Return upper bounds at quantiles of the calibration scores, and at the threshold of all.

    The share of each bucket is then known for in-distribution traffic, and the share above the
    threshold is exactly the rejected share.
    """
    quantiles = np.quantile(calibration.astype(np.float64), SCORE_QUANTILES)
    return sorted({*quantiles.tolist(), *(() if threshold is None else (threshold,))})


def _or_nan(value: float | None) -> float:
    """Return NaN for no value: it is drawn nowhere, and no alert compares with it."""
    return math.nan if value is None else value


class ScoreHistograms(Collector):
    """One family of score histograms, each with its model's own buckets.

    prometheus_client has one set of buckets per family.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._by_labels: dict[ScoreLabels, Histogram] = {}
        registry.register(self)

    def publish(self, labels: ScoreLabels, histogram: Histogram) -> None:
        """Expose a histogram in place of an earlier one with the same labels."""
        self._by_labels[labels] = histogram

    def collect(self) -> Iterator[Metric]:
        """Yield the family."""
        family = Metric(SCORE, SCORE_HELP, "histogram")
        for histogram in self._by_labels.values():
            for each in histogram.collect():
                family.samples.extend(each.samples)
        yield family


class ModelFamilies:
    """The metric families with the labels model and version."""

    def __init__(self, registry: CollectorRegistry, duration_buckets_s: Sequence[float]) -> None:
        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"oodguard_{name}", meaning, [*MODEL, *labels], registry=registry)

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"oodguard_{name}", meaning, [*MODEL, *labels], registry=registry)

        def histogram(
            name: str, meaning: str, buckets: Sequence[float] = duration_buckets_s
        ) -> Histogram:
            return Histogram(f"oodguard_{name}", meaning, MODEL, buckets=buckets, registry=registry)

        self.info = gauge("bundle_info", "1 for each served bundle.", "sha256", "provider")
        self.threshold = gauge("threshold", "Score above which an image is rejected.", "score")
        self.alpha = gauge("alpha", "Maximum share of in-distribution images that are rejected.")
        self.depth = gauge("queue_depth", "Images that wait for the engine.")
        self.batch = histogram("batch_size", "Images per run of the model.", BATCH_BUCKETS)
        self.decode = histogram("decode_seconds", "Time to decode the images of a request.")
        self.queue = histogram("queue_seconds", "Time that a request waits for the engine.")
        self.run = histogram("run_seconds", "Time of one run of the model.")
        self.skipped = counter(
            "skipped_images_total",
            "Images that were dropped from the queue before a run, by reason.",
            "reason",
        )
        self.decisions = counter("decisions_total", "Predicted images by decision.", "decision")
        self.reasons = counter(
            "rejection_reasons_total",
            "Rejected images by the reasons in the response; an image may have several.",
            "reason",
        )
        self.classes = counter(
            "predicted_class_total", "Predicted images by predicted class.", "class"
        )
        self.p_values = histogram(
            "p_value",
            "p-values of the images; uniform while traffic is like the calibration images.",
            P_VALUE_BUCKETS,
        )
        self.shadowed = counter(
            "shadow_images_total",
            "Images that a shadow model predicted, by agreement of its decision.",
            "agreement",
        )
        self.scores = ScoreHistograms(registry)


class ModelMetrics:
    """The metrics of one model; observer of its batcher."""

    def __init__(self, families: ModelFamilies, model: LoadedModel) -> None:
        manifest, policy = model.bundle.manifest, model.guard.policy
        self._families = families
        self._model = model
        self._names = names = (manifest.name, manifest.version)
        self._info = (model.bundle.sha256, model.session.providers[0])
        self._score_name = policy.score
        self._batch = families.batch.labels(*names)
        self._decode = families.decode.labels(*names)
        self._queue = families.queue.labels(*names)
        self._run = families.run.labels(*names)
        self._p_values = families.p_values.labels(*names)
        self._decisions = {
            name: families.decisions.labels(*names, name) for name in get_args(Decision)
        }
        self._skipped = {
            reason: families.skipped.labels(*names, reason) for reason in get_args(SkipReason)
        }
        self._reasons = {
            code: families.reasons.labels(*names, code) for code in get_args(ReasonCode)
        }
        self._class = cache(lambda label: families.classes.labels(*names, label))
        self._scores = Histogram(
            SCORE,
            SCORE_HELP,
            [*MODEL, "score"],
            buckets=score_buckets(model.bundle.calibration[policy.score], model.guard.threshold),
            registry=None,
        )
        self._score = self._scores.labels(*names, policy.score)

    def ran(self, images: int, run_s: float) -> None:
        """Count a run of the model on a batch."""
        self._batch.observe(images)
        self._run.observe(run_s)

    def skipped(self, images: int, why: SkipReason) -> None:
        """Count images that were dropped from the queue."""
        self._skipped[why].inc(images)

    def count_request(self, timings: Timings) -> None:
        """Count the durations of one request's stages."""
        if timings.decode_s:
            self._decode.observe(timings.decode_s)
        self._queue.observe(timings.queue_s)

    def count_verdicts(self, verdicts: Sequence[Verdict]) -> int:
        """Count the verdicts of one request and return the number of rejections."""
        for verdict in verdicts:
            score = verdict.scores[self._score_name]
            # One NaN would make the histogram's sum NaN permanently.
            if math.isfinite(score):
                self._score.observe(score)
            self._p_values.observe(verdict.p_value)
            self._class(verdict.label).inc()
            for reason in verdict.reasons:
                self._reasons[reason.code].inc()
        rejected = sum(verdict.decision == "reject" for verdict in verdicts)
        self._decisions["reject"].inc(rejected)
        self._decisions["accept"].inc(len(verdicts) - rejected)
        return rejected

    def count_shadow(self, *, same: int, different: int) -> None:
        """Count images that this model predicted as a shadow of another model."""
        self._families.shadowed.labels(*self._names, "same").inc(same)
        self._families.shadowed.labels(*self._names, "different").inc(different)

    def publish(self, queue_depth: Callable[[], int]) -> None:
        """Expose the gauges and scores of this model: it is served now.

        Args:
            queue_depth: Returns how many images wait for the model's engine.
        """
        families, names, policy = self._families, self._names, self._model.guard.policy
        families.info.labels(*names, *self._info).set(1)
        families.threshold.labels(*names, policy.score).set(_or_nan(self._model.guard.threshold))
        families.alpha.labels(*names).set(_or_nan(policy.alpha))
        families.depth.labels(*names).set_function(queue_depth)
        families.scores.publish((*names, policy.score), self._scores)

    def withdraw(self) -> None:
        """Remove the gauges of this model; its counters and histograms stay."""
        families, names = self._families, self._names
        # The gauge refers to itself: with the function, it would keep the model in memory.
        families.depth.labels(*names).set_function(float)
        families.info.remove(*names, *self._info)
        families.threshold.remove(*names, self._score_name)
        for gauge in (families.alpha, families.depth):
            gauge.remove(*names)
