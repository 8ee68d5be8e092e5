"""Compute ranks and p-values from held-out in-distribution scores.

A higher score means more out-of-distribution.
"""

import math
import sys
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from oodguard.models.errors import CalibrationError, InvalidPolicy

Scores = NDArray[np.float32] | NDArray[np.float64]


def check_rates(**rates: float | None) -> None:
    """Check that the rates, by name, are in (0, 1) or None.

    Raises:
        InvalidPolicy: A rate is outside (0, 1).
    """
    for name, rate in rates.items():
        if rate is not None and not 0 < rate < 1:
            raise InvalidPolicy(f"{name} is {rate}, expected a value above 0 and below 1")


def rejection_rank(n: int, *, alpha: float, delta: float | None, name: str = "alpha") -> int:
    """Return k such that images above the k-th largest of `n` calibration scores are rejected.

    Without `delta`, k = floor(alpha (n + 1)). Then P(reject | in-distribution) <= alpha over the
    draw of the calibration set and the image. With `delta`, the false-rejection rate given the
    calibration set is at most Beta(k, n + 1 - k) distributed, and k is the largest number with
    BetaCDF(alpha; k, n + 1 - k) >= 1 - delta. Vovk 2012, "Conditional validity of inductive
    conformal predictors". `name` is what errors call `alpha`.

    Raises:
        CalibrationError: No such k exists, or a rate is outside (0, 1).
    """
    check_rates(**{name: alpha, "delta": delta})
    rank = _marginal_rank(n, alpha) if delta is None else _confident_rank(n, alpha, delta)
    if rank < 1:
        rates = f"{name} {alpha}" + ("" if delta is None else f" with delta {delta}")
        raise CalibrationError(
            f"{n} calibration images are too few for {rates}, expected at least"
            f" {images_required(alpha, delta)}. Calibrate with more images, or set a larger {name}"
            " or delta"
        )
    return rank


def p_values(scores: Scores, calibration_sorted: Scores) -> NDArray[np.float64]:
    """Return the conformal p-values `(m,)` of scores `(m,)`: (1 + #{s_i >= s}) / (n + 1).

    A small p-value means out-of-distribution. `calibration_sorted` is `(n,)`, ascending. The
    p-value of NaN is the smallest one. Vovk et al. 2005, "Algorithmic Learning in a Random World".
    """
    n = len(calibration_sorted)
    # NumPy sorts NaN after all numbers, so no calibration score is at or above it.
    below = np.searchsorted(calibration_sorted, scores, side="left")
    return np.asarray((1 + n - below) / (n + 1), dtype=np.float64)


def _marginal_rank(n: int, alpha: float) -> int:
    # The exact decimal: in binary floating point, 0.29 * 100 is below 29.
    return math.floor(Fraction(str(alpha)) * (n + 1))


def _confident_rank(n: int, alpha: float, delta: float) -> int:
    """Return the largest k with BetaCDF(alpha; k, n + 1 - k) >= 1 - delta, or 0.

    BetaCDF(alpha; k, n + 1 - k) = P(Binomial(n, alpha) >= k), so k - 1 is the largest count whose
    binomial CDF is at most delta. Computed in log space, which cannot underflow.
    """
    if n * math.log1p(-alpha) > math.log(delta):  # as in `images_required`
        return 0
    counts = np.arange(n + 1)
    log_factorial = np.concatenate(([0.0], np.cumsum(np.log(counts[1:]))))
    log_choose = log_factorial[-1] - log_factorial - log_factorial[::-1]
    log_pmf = log_choose + counts * math.log(alpha) + (n - counts) * math.log1p(-alpha)
    if delta <= 0.5:
        log_cdf = np.logaddexp.accumulate(log_pmf)
        rank = int(np.searchsorted(log_cdf, math.log(delta), side="right"))
    else:  # Rounding errors of a CDF close to 1 are larger than 1 - delta may be.
        log_tail = np.logaddexp.accumulate(log_pmf[::-1])[::-1]
        rank = int(np.count_nonzero(log_tail[1:] >= math.log1p(-delta)))
    return min(n, max(rank, 1))


def smallest_rate(n: int, rank: int, *, delta: float | None) -> float:
    """Return the smallest alpha at which `rejection_rank` of `n` scores is at least `rank`.

    With `delta` it is the 1 - delta quantile of Beta(rank, n + 1 - rank), rounded up by less than
    1e-6: the false-rejection rate that a draw of the calibration set exceeds with probability
    delta, where the rank-th largest score is the threshold.
    """
    if delta is None:
        rate = rank / (n + 1)
        # The quotient is rounded, and its decimal may be below the fraction.
        return rate if _marginal_rank(n, rate) >= rank else math.nextafter(rate, 1)
    low, high = 0.0, 1.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        if _confident_rank(n, middle, delta) < rank:
            low = middle
        else:
            high = middle
    return high


def images_required(alpha: float, delta: float | None) -> int:
    """Return the smallest n for which `rejection_rank` exists."""
    if delta is None:
        return math.ceil(1 / Fraction(str(alpha))) - 1
    log_delta, log_accepted = math.log(delta), math.log1p(-alpha)
    # The quotient is infinite for the smallest floating-point numbers.
    n = math.ceil(min(log_delta / log_accepted, sys.float_info.max))
    # The comparison of `_confident_rank`: a quotient that is a whole number is rounded otherwise.
    if n * log_accepted > log_delta:
        return n + 1
    return n - 1 if n > 1 and (n - 1) * log_accepted <= log_delta else n
