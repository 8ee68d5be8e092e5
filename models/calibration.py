"""The mathematics of the guarantee: ranks and p-values from held-out in-distribution scores.

Everywhere, a higher score means more out-of-distribution.
"""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from oodguard.models.errors import CalibrationError

Scores = NDArray[np.float32] | NDArray[np.float64]


def check_rates(alpha: float, delta: float | None) -> None:
    """Refuse rates outside (0, 1).

    Raises:
        CalibrationError: `alpha`, or a `delta` that is not None, is no rate.
    """
    for name, rate in (("alpha", alpha), ("delta", delta)):
        if rate is not None and not 0 < rate < 1:
            raise CalibrationError(f"{name} is {rate}; wanted a rate above 0 and below 1")


def rejection_rank(n: int, *, alpha: float, delta: float | None) -> int:
    """Return the k of "reject what lies above the k-th largest of `n` calibration scores".

    Without `delta`, k = floor(alpha (n + 1)): P(reject | in-distribution) <= alpha over the draw
    of calibration set and image together. With it, the false-rejection rate of the drawn set is
    distributed as Beta(k, n + 1 - k) or below, and k is the largest that keeps it within alpha
    with probability 1 - delta. Vovk 2012, "Conditional validity of inductive conformal predictors".

    Raises:
        CalibrationError: no such k, with how many images are needed; or a rate outside (0, 1).
    """
    check_rates(alpha, delta)
    rank = _marginal_rank(n, alpha) if delta is None else _confident_rank(n, alpha, delta)
    if rank < 1:
        promise = f"alpha {alpha}" + ("" if delta is None else f" with delta {delta}")
        raise CalibrationError(
            f"{n} calibration images are too few for {promise}:"
            f" at least {_images_needed(alpha, delta)} are needed. Export with more,"
            " or ask for a larger alpha or delta"
        )
    return rank


def p_values(scores: Scores, calibration_sorted: Scores) -> NDArray[np.float64]:
    """Return p-values `(m,)` of scores `(m,)`: (1 + #{s_i >= s}) / (n + 1), small meaning OOD.

    `calibration_sorted` is `(n,)`, ascending. A NaN score counts as most out-of-distribution.
    """
    n = len(calibration_sorted)
    # NumPy sorts NaN behind every number, so that no calibration score reaches it.
    below = np.searchsorted(calibration_sorted, scores, side="left")
    return np.asarray((1 + n - below) / (n + 1), dtype=np.float64)


def _marginal_rank(n: int, alpha: float) -> int:
    # As the decimal that was written: in binary, 0.29 of 100 would fall short of 29.
    return math.floor(Fraction(str(alpha)) * (n + 1))


def _confident_rank(n: int, alpha: float, delta: float) -> int:
    """Return the largest k with BetaCDF(alpha; k, n + 1 - k) >= 1 - delta, or 0.

    BetaCDF(alpha; k, n + 1 - k) = P(Binomial(n, alpha) >= k), so k - 1 is the last count whose
    binomial CDF is within delta; in log space, where nothing underflows.
    """
    counts = np.arange(n + 1)
    log_factorial = np.concatenate(([0.0], np.cumsum(np.log(counts[1:]))))
    log_choose = log_factorial[-1] - log_factorial - log_factorial[::-1]
    log_pmf = log_choose + counts * math.log(alpha) + (n - counts) * math.log1p(-alpha)
    log_cdf = np.logaddexp.accumulate(log_pmf)
    return min(n, int(np.searchsorted(log_cdf, math.log(delta), side="right")))


def _images_needed(alpha: float, delta: float | None) -> int:
    if delta is None:
        return math.ceil(1 / Fraction(str(alpha))) - 1
    return math.ceil(math.log(delta) / math.log1p(-alpha))
