"""The line that decides reject: a policy, the threshold it sets, and the comparison."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration import Scores, check_rates, rejection_rank


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What an operator asks for: at most `alpha` of in-distribution images rejected, by `score`.

    The promise holds with confidence 1 - `delta` over the draw of the calibration set; with
    `delta` None it holds on average over such draws.

    Raises:
        CalibrationError: a rate is not above 0 and below 1.
    """

    score: str
    alpha: float = 0.05
    delta: float | None = 0.05

    def __post_init__(self) -> None:
        check_rates(self.alpha, self.delta)


def threshold(calibration_sorted: Scores, policy: Policy) -> float:
    """Return the k-th largest of the ascending calibration scores `(n,)`.

    Raises:
        CalibrationError: too few scores for the policy, with how many are needed.
    """
    n = len(calibration_sorted)
    rank = rejection_rank(n, alpha=policy.alpha, delta=policy.delta)
    return float(calibration_sorted[n - rank])


def rejects(scores: Scores, threshold: float) -> NDArray[np.bool_]:
    """Say for each score `(m,)` whether it is rejected: strictly above the threshold, or NaN.

    The same as p <= k / (n + 1), also among ties.
    """
    # Not `>`: that would accept NaN. In float64, so that no threshold is rounded to the scores.
    return ~(np.asarray(scores, dtype=np.float64) <= threshold)
