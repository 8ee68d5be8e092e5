"""A monitored score, with calibration scores and a stream from the same distribution."""

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration import Scores
from oodguard.service.drift.detector import DriftDetector
from oodguard.service.drift.martingale import AlarmLimits
from oodguard.service.drift.state import DriftState, MonitoredScore, initial_state

MONITORED = MonitoredScore(
    model="tiny", version="1", bundle="ab" * 32, score="energy", threshold=1.6, rate=0.1
)


def drawn(m: int, n: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return calibration scores `(m,)`, ascending, and a stream `(n,)`, normally distributed."""
    values = np.random.default_rng(seed).normal(size=m + n)
    return np.sort(values[:m]), values[m:]


def detector(
    calibration: Scores,
    state: DriftState | None = None,
    *,
    delta: float = 0.01,
    run_length: float = 1e4,
) -> DriftDetector:
    """Return a detector of MONITORED, from the initial state by default."""
    if state is None:
        state = initial_state(len(calibration), np.random.default_rng(99))
    return DriftDetector(
        calibration, MONITORED, AlarmLimits(delta=delta, run_length=run_length), state
    )
