"""Decide about many images at once: bound the expected share of wrong rejections."""

import math
import re

import numpy as np
from numpy.typing import NDArray

from oodguard.models.errors import CalibrationError, InvalidPolicy
from oodguard.models.verdicts import Verdicts

_ROUNDING = 1 + 1e-12

_NUMBER = re.compile(r"[0-9]{0,9}\.?[0-9]{1,20}", re.ASCII)


def benjamini_hochberg(p_values: NDArray[np.float64], q: float) -> NDArray[np.bool_]:
    """Return which of m p-values `(m,)` are rejected at the false-discovery rate q in (0, 1).

    Rejected are the k smallest with the largest k for which the k-th smallest is at most q k / m,
    and all that are equal to the k-th (Benjamini and Hochberg 1995). The expected share of
    in-distribution images among the rejected ones, 0 if none is, is then at most q m0 / m, where m0
    of the m images are in-distribution. This holds for independent p-values, and for those that are
    positively dependent (PRDS; Benjamini and Yekutieli 2001). Conformal p-values of one calibration
    set are PRDS if the in-distribution images and the calibration images are independent and of one
    distribution (Bates et al. 2023, "Testing for outliers with conformal p-values", theorem 2). The
    frames of a film are neither.
    """
    values, counts = np.unique(p_values, return_counts=True)
    cutoff = rejection_cutoff(values, counts, q)
    return p_values <= (-np.inf if cutoff is None else cutoff)


def rejection_cutoff(
    values: NDArray[np.float64], counts: NDArray[np.int64], q: float
) -> float | None:
    """Return the largest p-value that `benjamini_hochberg` rejects, or None if it rejects none.

    Conformal p-values have few different values, so that their counts fit into memory for any
    number of images.

    Args:
        values: The different p-values `(d,)`, ascending.
        counts: How often each occurs, `(d,)`.
        q: The false-discovery rate in (0, 1).
    """
    # Of equal p-values, the last in their order has the largest limit.
    ranks = np.cumsum(counts)
    m = ranks[-1] if len(ranks) else 0
    # In binary floating point, 0.29 * 100 is below 29.
    within = np.flatnonzero(values <= q * ranks / m * _ROUNDING)
    return float(values[within[-1]]) if len(within) else None


def may_be_rejected(p_values: NDArray[np.float64], q: float) -> NDArray[np.bool_]:
    """Return which p-values `(m,)` are rejected at q among some other p-values: those up to q."""
    return p_values <= q * _ROUNDING


def least_rate(n: int) -> float:
    """Return 1 / (n + 1), the smallest q at which `n` calibration scores can reject an image.

    No p-value is below 1 / (n + 1). At q, j images with this p-value are rejected among m if
    j >= m / (q (n + 1)): a single one if m <= q (n + 1).
    """
    return 1 / (n + 1)


def required_at_smallest(m: int, q: float, n: int) -> int:
    """Return how many of `m` images must have the smallest p-value so that they are rejected.

    If fewer have it, images are rejected only if more of them have somewhat larger p-values.
    """
    return max(1, math.ceil(m * least_rate(n) / q / _ROUNDING))


def parse_rate(name: str, text: str, n: int) -> float:
    """Parse a false-discovery rate for images that are compared with `n` calibration scores.

    Args:
        name: The name of the option or header in the error.
        text: The rate.
        n: The number of calibration scores.

    Raises:
        CalibrationError: It is not a number above 0 and below 1, or no image could be rejected.
    """
    q = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not 0 < q < 1:
        raise InvalidPolicy(f'{name} is "{text[:32]}", expected a number above 0 and below 1')
    if q < least_rate(n):
        raise CalibrationError(
            f"{name} is {q:g}, expected at least 1 / {n + 1} = {least_rate(n):.3g}, the smallest"
            f" p-value with {n} independent calibration images, one of each group: no image could"
            " be rejected"
        )
    return q


def at_false_discovery_rate(verdicts: Verdicts, q: float, *, column: int) -> Verdicts:
    """Return the verdicts on m images with the decisions at a false-discovery rate.

    An image whose deciding score, that of `column`, is NaN is rejected at every rate.
    """
    rejected = benjamini_hochberg(verdicts.arrays.p_values, q)
    return verdicts.with_decisions(rejected | np.isnan(verdicts.scores(column)))
