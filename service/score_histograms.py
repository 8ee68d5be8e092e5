"""One histogram of scores for each model, with buckets of its own, under one name.

The buckets lie at quantiles of a model's calibration scores, which differ from model to model;
prometheus_client's histograms share theirs.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

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
