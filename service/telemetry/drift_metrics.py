"""Prometheus metrics of the drift tests. One process of the service has them."""

from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from oodguard.service.drift.martingale import AlarmLimits, DriftEvidence
from oodguard.service.drift.monitor import SaveOutcome

MODEL = ("model", "version")


class DriftFamilies:
    """The metric families of the drift tests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, meaning: str) -> Gauge:
            return Gauge(f"oodguard_{name}", meaning, MODEL, registry=registry)

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"oodguard_{name}", meaning, [*MODEL, *labels], registry=registry)

        self.drift = gauge(
            "drift_log_martingale",
            "Evidence that scores are not like the calibration scores: natural logarithm.",
        )
        self.rejection = gauge(
            "rejection_log_martingale",
            "Evidence that more than alpha is rejected: natural logarithm.",
        )
        self.threshold = gauge(
            "drift_log_threshold",
            "Limit that a log martingale ever exceeds with probability at most delta.",
        )
        self.alarms = counter(
            "drift_alarms_total",
            "How often the Shiryaev-Roberts statistic of a test has reached its limit.",
            "test",
        )
        self.saves = counter(
            "drift_saves_total", "Attempts to save the drift evidence, by outcome.", "outcome"
        )
        self.resets = counter("drift_resets_total", "Resets of the drift evidence.")


class DriftMetrics:
    """The metrics of the drift tests of one model; observer of its drift monitor."""

    def __init__(self, families: DriftFamilies, name: str, version: str) -> None:
        self._families = families
        self._names = names = (name, version)
        self._saves = {
            outcome: families.saves.labels(*names, outcome) for outcome in get_args(SaveOutcome)
        }
        self._alarms: dict[str, int] = {}
        self._resets = families.resets.labels(*names)

    def set_drift_evidence(
        self, ranks: DriftEvidence, rejections: DriftEvidence, limits: AlarmLimits
    ) -> None:
        """Set the evidence that traffic has drifted."""
        families, names = self._families, self._names
        families.drift.labels(*names).set(ranks.log_martingale)
        families.rejection.labels(*names).set(rejections.log_martingale)
        families.threshold.labels(*names).set(limits.log_martingale)
        for test, evidence in (("scores", ranks), ("rejections", rejections)):
            # The evidence survives a restart; the counter starts at 0 in each process.
            known = self._alarms.setdefault(test, evidence.alarms)
            families.alarms.labels(*names, test).inc(evidence.alarms - known)
            self._alarms[test] = evidence.alarms

    def count_drift_save(self, outcome: SaveOutcome) -> None:
        """Count an attempt to save the drift evidence."""
        self._saves[outcome].inc()

    def count_drift_reset(self) -> None:
        """Count a reset of the drift evidence, whose alarms begin at 0 again."""
        self._resets.inc()
        self._alarms = dict.fromkeys(self._alarms, 0)

    def withdraw_drift(self) -> None:
        """Remove the gauges; the counters stay."""
        families = self._families
        for gauge in (families.drift, families.rejection, families.threshold):
            gauge.remove(*self._names)
