"""What Prometheus is told of each model: its line, its runs, its policy and its verdicts."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from oodguard.models.verdicts import Verdict
from oodguard.service.drift.martingale import AlarmLimits, DriftEvidence
from oodguard.service.inference.model import LoadedModel
from oodguard.service.inference.queue import Dropped, Timings

NAME = "oodguard_score"

MEANING = "Deciding score of each image; a higher one is more out-of-distribution."

LABELS = ("model", "version", "score")

Labels: TypeAlias = tuple[str, str, str]

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)


class ScoreHistogram:
    """The scores of one model.

    Args:
        labels: Model, version and score.
        buckets: Upper bounds, ascending.
    """

    def __init__(self, labels: Labels, buckets: Sequence[float]) -> None:
        self.labels = labels
        self.family = Histogram(NAME, MEANING, LABELS, buckets=buckets, registry=None)
        self._child = self.family.labels(*labels)

    def observe(self, score: float) -> None:
        """Count one score, which must be finite."""
        self._child.observe(score)


class ScoreHistograms(Collector):
    """The histograms of all models, collected as one family."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._shown: dict[Labels, ScoreHistogram] = {}
        registry.register(self)

    def show(self, histogram: ScoreHistogram) -> None:
        """Tell of a model, in place of an earlier one with the same labels."""
        self._shown[histogram.labels] = histogram

    def collect(self) -> Iterator[Metric]:
        """Yield the family."""
        family = Metric(NAME, MEANING, "histogram")
        for histogram in self._shown.values():
            for each in histogram.family.collect():
                family.samples.extend(each.samples)
        yield family


def score_buckets(calibration: NDArray[np.float32], threshold: float) -> list[float]:
    """Upper bounds at quantiles of the calibration scores, and at the threshold.

    On in-distribution traffic each bucket's share is known; the threshold as a bound makes the
    rejected share exact.
    """
    quantiles = np.quantile(calibration.astype(np.float64), QUANTILES)
    return sorted({*quantiles.tolist(), threshold})


MODEL = ("model", "version")

P_VALUE_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.05, *(n / 10 for n in range(1, 11)))

BATCH_BUCKETS = tuple(2**power for power in range(13))

DECISIONS = ("accept", "reject")


class ModelFamilies:
    """The families that every model has a child of."""

    def __init__(self, registry: CollectorRegistry, duration_buckets_s: Sequence[float]) -> None:
        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"oodguard_{name}", meaning, [*MODEL, *labels], registry=registry)

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"oodguard_{name}", meaning, [*MODEL, *labels], registry=registry)

        def histogram(name: str, meaning: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(f"oodguard_{name}", meaning, MODEL, buckets=buckets, registry=registry)

        self.info = gauge("bundle_info", "1 for each bundle that is served.", "sha256", "provider")
        self.threshold = gauge("threshold", "Score above which an image is rejected.", "score")
        self.alpha = gauge("alpha", "Share of in-distribution images that may be rejected.")
        self.depth = gauge("queue_depth", "Images that wait for the engine.")
        self.batch = histogram("batch_size", "Images in one run of the model.", BATCH_BUCKETS)
        self.decode = histogram(
            "decode_seconds", "Decoding of one request's images.", duration_buckets_s
        )
        self.queue = histogram(
            "queue_seconds", "Wait of one request's images for the engine.", duration_buckets_s
        )
        self.run = histogram("run_seconds", "One run of the model.", duration_buckets_s)
        self.skipped = counter(
            "skipped_images_total", "Images that were not run for nobody waited.", "reason"
        )
        self.decisions = counter("decisions_total", "Images judged, by decision.", "decision")
        self.classes = counter(
            "predicted_class_total", "Images judged, by predicted class.", "class"
        )
        self.p_values = histogram(
            "p_value",
            "p-values; uniform while the input is as it was calibrated on.",
            P_VALUE_BUCKETS,
        )
        self.shadowed = counter(
            "shadow_images_total",
            "Images that a shadow model judged too, by whether it decided the same.",
            "agreement",
        )
        self.drift = gauge(
            "drift_log_martingale", "Evidence that scores are no longer as calibrated: natural log."
        )
        self.rejection = gauge(
            "rejection_log_martingale", "Evidence that more than alpha is rejected: natural log."
        )
        self.drift_threshold = gauge(
            "drift_log_threshold", "What a log martingale exceeds with chance delta at most, ever."
        )
        self.drift_alarms = counter(
            "drift_alarms_total", "How often Shiryaev-Roberts has reached its limit.", "test"
        )
        self.scores = ScoreHistograms(registry)


class ModelMetrics:
    """The metrics of one model; also what its batcher tells of its runs.

    Args:
        families: Where to count.
        model: The model.
        depth: How many images wait for its engine.
    """

    def __init__(
        self, families: ModelFamilies, model: LoadedModel, depth: Callable[[], int]
    ) -> None:
        manifest, policy = model.bundle.manifest, model.guard.policy
        self._families = families
        self._model = model
        self._depth = depth
        self._names = names = (manifest.name, manifest.version)
        self._info = (model.bundle.sha256, model.engine.providers[0])
        self._score_name = policy.score
        self._batch = families.batch.labels(*names)
        self._decode = families.decode.labels(*names)
        self._queue = families.queue.labels(*names)
        self._run = families.run.labels(*names)
        self._p_values = families.p_values.labels(*names)
        self._decisions = {name: families.decisions.labels(*names, name) for name in DECISIONS}
        self._classes: dict[str, Counter] = {}
        self._alarms: dict[str, int] = {}
        self._scores = ScoreHistogram(
            (*names, policy.score),
            score_buckets(model.bundle.calibration[policy.score], model.guard.threshold),
        )

    def ran(self, images: int, run_s: float) -> None:
        """A batch was run."""
        self._batch.observe(images)
        self._run.observe(run_s)

    def skipped(self, images: int, why: Dropped) -> None:
        """Images were dropped and not run."""
        self._families.skipped.labels(*self._names, why).inc(images)

    def count_request(self, timings: Timings) -> None:
        """Count where one request's time went."""
        if timings.decode_s:
            self._decode.observe(timings.decode_s)
        self._queue.observe(timings.queue_s)

    def count_verdicts(self, verdicts: Sequence[Verdict]) -> int:
        """Count the verdicts of one request.

        Returns:
            How many are rejections.
        """
        for verdict in verdicts:
            score = verdict.scores[self._score_name]
            # One NaN would make the histogram's sum NaN for good.
            if math.isfinite(score):
                self._scores.observe(score)
            self._p_values.observe(verdict.p_value)
            self._class(verdict.label).inc()
        rejected = sum(verdict.decision == "reject" for verdict in verdicts)
        self._decisions["reject"].inc(rejected)
        self._decisions["accept"].inc(len(verdicts) - rejected)
        return rejected

    def count_shadow(self, *, same: int, different: int) -> None:
        """Count images that this model judged in another one's shadow."""
        self._families.shadowed.labels(*self._names, "same").inc(same)
        self._families.shadowed.labels(*self._names, "different").inc(different)

    def show_evidence(
        self, *, ranks: DriftEvidence, rejections: DriftEvidence, limits: AlarmLimits
    ) -> None:
        """Tell of the evidence that the input has changed."""
        families, names = self._families, self._names
        families.drift.labels(*names).set(ranks.log_martingale)
        families.rejection.labels(*names).set(rejections.log_martingale)
        families.drift_threshold.labels(*names).set(limits.log_martingale)
        for test, evidence in (("scores", ranks), ("rejections", rejections)):
            # The evidence outlives the process, and a counter starts with it.
            known = self._alarms.setdefault(test, evidence.alarms)
            families.drift_alarms.labels(*names, test).inc(evidence.alarms - known)
            self._alarms[test] = evidence.alarms

    def appear(self) -> None:
        """Begin to tell of the present: this model is served now."""
        families, names, policy = self._families, self._names, self._model.guard.policy
        families.info.labels(*names, *self._info).set(1)
        families.threshold.labels(*names, policy.score).set(self._model.guard.threshold)
        families.alpha.labels(*names).set(policy.alpha)
        families.depth.labels(*names).set_function(self._depth)
        families.scores.show(self._scores)

    def disappear(self) -> None:
        """End what is told of the present; what was counted stays counted."""
        families, names = self._families, self._names
        families.info.remove(*names, *self._info)
        families.threshold.remove(*names, self._score_name)
        families.alpha.remove(*names)
        families.depth.remove(*names)
        families.drift.remove(*names)
        families.rejection.remove(*names)
        families.drift_threshold.remove(*names)

    def _class(self, label: str) -> Counter:
        child = self._classes.get(label)
        if child is None:
            child = self._classes[label] = self._families.classes.labels(*self._names, label)
        return child
