"""Draw traffic: unchanged, or with other scores mixed in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oodguard.models.decision import Policy, threshold
from oodguard.service.drift.detector import DriftDetector
from oodguard.service.drift.martingale import AlarmLimits
from oodguard.service.drift.state import DriftState, MonitoredScore, initial_state

Floats = NDArray[np.float64]

POLICY = Policy(score="abstain")
LIMITS = AlarmLimits(delta=0.01, run_length=1e6)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A `share` of the scores is drawn from `others` `(k,)`."""

    share: float
    others: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """A calibration set and, from the same `pool` of scores, unchanged traffic."""

    calibration: Floats
    pool: Floats
    random: np.random.Generator

    @classmethod
    def of(cls, pool: Floats, calibration_images: int, seed: int) -> "Draw":
        """Draw a calibration set with replacement, so that its scores are independent."""
        random = np.random.default_rng(seed)
        calibration = np.sort(random.choice(pool, calibration_images))
        return cls(calibration=calibration, pool=pool, random=random)

    @property
    def monitored(self) -> MonitoredScore:
        """The monitored score."""
        limit = threshold(self.calibration, POLICY)
        return MonitoredScore(
            model="drawn",
            version="1",
            bundle="drawn",
            score=POLICY.score,
            threshold=limit,
            rate=POLICY.false_rejection_rate,
        )

    def detector(self, state: DriftState | None = None) -> DriftDetector:
        """Return a detector, from the initial state by default."""
        if state is None:
            state = initial_state(len(self.calibration), self.random)
        return DriftDetector(self.calibration, self.monitored, LIMITS, state)

    def unchanged(self, n: int) -> Floats:
        """Return unchanged traffic `(n,)`."""
        return self.random.choice(self.pool, n)

    def changed(self, n: int, change: Change) -> Floats:
        """Return changed traffic `(n,)`."""
        other = self.random.choice(change.others, n)
        return np.where(self.random.random(n) < change.share, other, self.unchanged(n))
