"""Traffic to be watched: unchanged, or with other scores mixed in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oodguard.models.decision import Policy, threshold
from oodguard.service.drift.martingale import AlarmLimits
from oodguard.service.drift.monitor import DriftDetector
from oodguard.service.drift.state import DriftState, MonitoredScore, initial_state

Floats = NDArray[np.float64]

POLICY = Policy(score="abstain")
LIMITS = AlarmLimits(delta=0.01, run_length=1e6)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A `share` of the scores drawn from `others` `(k,)` in place of the usual ones."""

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
        """Return the draw of a seed. With replacement: its scores are independent."""
        random = np.random.default_rng(seed)
        calibration = np.sort(random.choice(pool, calibration_images))
        return cls(calibration=calibration, pool=pool, random=random)

    @property
    def subject(self) -> MonitoredScore:
        """What is watched."""
        limit = threshold(self.calibration, POLICY)
        return MonitoredScore(
            bundle="drawn", score=POLICY.score, threshold=limit, rate=POLICY.alpha
        )

    def monitor(self, state: DriftState | None = None) -> DriftDetector:
        """Return a monitor, afresh unless it goes on from a state."""
        if state is None:
            state = initial_state(len(self.calibration), self.random)
        return DriftDetector(self.calibration, self.subject, LIMITS, state)

    def unchanged(self, n: int) -> Floats:
        """Return unchanged traffic `(n,)`."""
        return self.random.choice(self.pool, n)

    def changed(self, n: int, change: Change) -> Floats:
        """Return changed traffic `(n,)`."""
        other = self.random.choice(change.others, n)
        return np.where(self.random.random(n) < change.share, other, self.unchanged(n))
