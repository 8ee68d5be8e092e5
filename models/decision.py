"""Decide to accept or reject: the policy, its threshold, and the comparison."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration import Scores, check_rates, rejection_rank


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """The guarantee that an operator sets: at most `alpha` of in-distribution images are rejected.

    Attributes:
        score: The name of the deciding score.
        alpha: The largest false-rejection rate.
        delta: 1 - confidence in alpha over the draw of the calibration set. With None, the rate is
            at most alpha on average over such draws.

    Raises:
        CalibrationError: A rate is not above 0 and below 1.
    """

    score: str
    alpha: float = 0.05
    delta: float | None = 0.05

    def __post_init__(self) -> None:
        check_rates(self.alpha, self.delta)


def threshold(calibration_sorted: Scores, policy: Policy) -> float:
    """Return the k-th largest of the ascending calibration scores `(n,)`; see `rejection_rank`.

    Raises:
        CalibrationError: Too few scores for the policy.
    """
    n = len(calibration_sorted)
    rank = rejection_rank(n, alpha=policy.alpha, delta=policy.delta)
    return float(calibration_sorted[n - rank])


def rejects(scores: Scores, threshold: float | NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each score `(m,)` whether it is rejected: strictly above the threshold, or NaN.

    Equivalent to p <= k / (n + 1), also for ties. For scores `(m, S)` there may be S thresholds.
    """
    # The negation of <= rejects NaN. In float64 the threshold is not rounded to the scores' type.
    return ~(np.asarray(scores, dtype=np.float64) <= threshold)
