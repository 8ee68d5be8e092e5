"""Metrics without those that follow the score of a single image."""

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

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
