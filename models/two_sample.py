"""Compare two samples of scores: do they come from one distribution?"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration import Scores

TERMS = 100
"""The terms of the Kolmogorov series; later ones are below 1e-300 where the sum is below 1."""

TAIL_RANKS = (1, 2, 5, 10, 20, 50, 100)
"""The largest scores of the older sample whose exceedances `tail_p_value` counts."""


@dataclass(frozen=True, slots=True)
class KolmogorovSmirnov:
    """The largest distance of two empirical distributions, and its p-value."""

    distance: float
    p_value: float


def kolmogorov_smirnov(first: Scores, second: Scores) -> KolmogorovSmirnov:
    """Compare two samples `(n,)` and `(m,)` by the two-sample Kolmogorov-Smirnov test.

    The p-value is that of the limit distribution with the correction of Stephens 1970, "Use of the
    Kolmogorov-Smirnov, Cramer-von Mises and related statistics without extensive tables"; ties make
    it too large, never too small.
    """
    values = np.concatenate((first, second))
    ours = np.searchsorted(np.sort(first), values, side="right") / len(first)
    theirs = np.searchsorted(np.sort(second), values, side="right") / len(second)
    distance = float(np.abs(ours - theirs).max())
    root = math.sqrt(len(first) * len(second) / (len(first) + len(second)))
    x = (root + 0.12 + 0.11 / root) * distance
    j = np.arange(1, TERMS + 1)
    # The alternating series does not converge near 0, where the p-value is 1.
    series = 2 * float(np.sum((-1.0) ** (j - 1) * np.exp(-2 * (j * x) ** 2))) if x > 0.2 else 1.0
    return KolmogorovSmirnov(distance=distance, p_value=min(1.0, max(0.0, series)))


def tail_p_value(older: Scores, newer: Scores) -> float:
    """Return the p-value of too many large scores in the newer sample.

    For samples from one continuous distribution, the number of newer scores above the j-th largest
    older one is at least m if m or more of the m + j - 1 largest of both are newer: hypergeometric.
    The smallest p-value over `TAIL_RANKS` is multiplied by their number (Bonferroni). Few
    outliers move the largest scores far more than they move the whole distribution.
    """
    ordered = np.sort(older)[::-1]
    ranks = [rank for rank in TAIL_RANKS if rank <= len(ordered)]
    smallest = min(
        exceedance_p_value(int((newer > ordered[rank - 1]).sum()), rank, len(older), len(newer))
        for rank in ranks
    )
    return min(1.0, len(ranks) * smallest)


def exceedance_p_value(exceeding: int, rank: int, older: int, newer: int) -> float:
    """Return P(at least `exceeding` of the newer scores are above the rank-th largest older one).

    Wilks 1941, "Determination of sample sizes for setting tolerance limits".
    """
    drawn = exceeding + rank - 1
    log_pmf = _log_hypergeometric(newer, older, drawn)
    return min(1.0, float(np.exp(log_pmf[exceeding:]).sum()))


def none_exceeding_p_value(rank: int, older: int, newer: int) -> float:
    """Return P(no newer score is above the rank-th largest older one)."""
    return 1 - exceedance_p_value(1, rank, older, newer)


def _log_hypergeometric(marked: int, others: int, drawn: int) -> NDArray[np.float64]:
    """Return the logarithm of P(i of `drawn` are marked) for i from 0 to `drawn`."""
    i = np.arange(drawn + 1)
    with np.errstate(divide="ignore"):
        return (
            _log_choose(marked, i)
            + _log_choose(others, drawn - i)
            - _log_choose(marked + others, np.array([drawn]))
        )


def _log_choose(n: int, k: NDArray[np.int_]) -> NDArray[np.float64]:
    """Return log(n over k), -inf for k above n."""
    log_factorial = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, n + 1)))))
    inside = np.minimum(k, n)
    found = log_factorial[n] - log_factorial[inside] - log_factorial[n - inside]
    return np.where(k <= n, found, -np.inf)
