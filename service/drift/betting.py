"""Bets against the hypotheses "ranks are uniform" and "the rejection rate is at most alpha".

A bet on ranks is a density on (0, 1): the stake is multiplied by the density at the rank, by 1 on
average if ranks are uniform (Shafer 2021, "Testing by betting"). Every density
here is constant on the cells of one partition. A bet is then a table look-up, it is bounded, and
its mean is a finite sum.
"""

import math

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration import smallest_rate
from oodguard.models.decision import Policy
from oodguard.models.thresholds import ClassThresholds, Limit, Thresholds

Floats = NDArray[np.float64]

CELL_EDGES: Floats = np.array(
    [0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.99, 1]
)
"""Edges of the cells: narrow at small ranks, where out-of-distribution scores fall."""

CELL_WIDTHS: Floats = np.diff(CELL_EDGES)

HIGHER_EXPONENTS = (0.1, 0.2, 0.4, 0.7)
"""Exponents k of power bets k u^(k - 1): scores are higher than in calibration."""

LOWER_EXPONENTS = (0.2, 0.5)
"""Exponents of mirrored power bets k (1 - u)^(k - 1): scores are lower, as for a repeated image."""

CHANGED_SHARES = (0.01, 0.05, 0.25, 1.0)
"""The shares of the traffic that the bets assume to have changed."""

HISTOGRAM_MEMORIES = (300, 3000)
"""Ranks that each histogram remembers: after that many, a count has faded to a factor 1/e."""

PRIOR_COUNT = 100.0
"""Pseudo-count of uniform ranks in each histogram."""

MAX_CHUNK = 128
"""The largest number of ranks per call of `learned_bets`."""

ODDS_RATIOS = (1.1, 1.3, 1.7, 2.5, 5.0, 20.0)
"""The factors by which the bets on rejections assume the odds of a rejection to have grown."""

LARGEST_RATE = 1 - 1e-6
"""The largest rejection rate that is bet against: a rate of 1 leaves nothing to bet on."""

_LAGS = np.arange(MAX_CHUNK)[:, None] - np.arange(MAX_CHUNK)[None, :] - 1

_FADING = {
    memory: np.tril((1 - 1 / memory) ** np.maximum(_LAGS, 0), -1) for memory in HISTOGRAM_MEMORIES
}
"""The remaining weight of the l-th rank of a chunk when the k-th is bet on, at [k, l]."""


def cells(ranks: Floats) -> NDArray[np.int64]:
    """Return the cell of each rank `(n,)`; a rank on an edge belongs to the cell below."""
    return np.searchsorted(CELL_EDGES[1:-1], ranks, side="left").astype(np.int64)


def fixed_bets() -> Floats:
    """Return the logarithms of the fixed bets by cell, `(cells, K)`.

    Each bet is (1 - share) + share * f, where f is a power bet averaged over each cell: the density
    of the ranks if a `share` of the scores is drawn from f and the rest has not changed. Power
    bets: Vovk, Nouretdinov & Gammerman 2003, "Testing exchangeability on-line".
    """
    higher = [np.diff(CELL_EDGES**k) / CELL_WIDTHS for k in HIGHER_EXPONENTS]
    lower = [-np.diff((1 - CELL_EDGES) ** k) / CELL_WIDTHS for k in LOWER_EXPONENTS]
    shapes = np.stack([*higher, *lower], axis=1)
    bets = [(1 - share) + share * shapes for share in CHANGED_SHARES]
    return np.asarray(np.log(np.concatenate(bets, axis=1)))


def empty_histograms() -> Floats:
    """Return the faded counts before the first rank, `(memories, cells)`."""
    return np.zeros((len(HISTOGRAM_MEMORIES), len(CELL_WIDTHS)))


def learned_bets(histograms: Floats, cells: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Bet on each rank with histograms of the ranks before it.

    Args:
        histograms: Faded counts of earlier ranks by cell, `(memories, cells)`.
        cells: The cells of the ranks, `(n,)`, with n at most MAX_CHUNK.

    Returns:
        The logarithms of the bets `(n, memories)`, and the histograms afterwards.
    """
    same = cells[:, None] == cells[None, :]
    bets, after = zip(
        *(
            _histogram_bets(row, memory, cells, same)
            for row, memory in zip(histograms, HISTOGRAM_MEMORIES, strict=True)
        ),
        strict=True,
    )
    return np.stack(bets, axis=1), np.stack(after)


def _histogram_bets(
    counts: Floats, memory: int, cells: NDArray[np.int64], same: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    n = len(cells)
    weights = _FADING[memory][:n, :n]
    fading = (1 - 1 / memory) ** np.arange(n + 1)
    in_cell = fading[:n] * counts[cells] + (weights * same).sum(axis=1)
    in_all = fading[:n] * counts.sum() + weights.sum(axis=1)
    widths = CELL_WIDTHS[cells]
    log_bets = np.log((in_cell + PRIOR_COUNT * widths) / ((in_all + PRIOR_COUNT) * widths))
    added = np.bincount(cells, weights=fading[:n][::-1], minlength=len(CELL_WIDTHS))
    return log_bets, fading[n] * counts + added


def rejection_bets(rate: float) -> Floats:
    """Return the logarithms of the bets `(2, K)` on accept (row 0) and on reject (row 1).

    Each bet is the likelihood ratio of a rate q > `rate` to `rate`: (1 - q) / (1 - rate) on accept,
    q / rate on reject. Its mean is 1 at `rate` and below 1 at any smaller rate.
    """
    odds = np.array(ODDS_RATIOS) * rate / (1 - rate)
    q = odds / (1 + odds)
    return np.log(np.stack([(1 - q) / (1 - rate), q / rate]))


def null_rejection_rate(thresholds: Thresholds, policy: Policy, *, delta: float) -> float:
    """Return the false-rejection rate that the policy guarantees: the rate to bet against.

    A policy with its own `delta` guarantees alpha with confidence 1 - `policy.delta` over the draw
    of the calibration set. A policy without one guarantees alpha only on average over draws, and
    about half of the draws exceed it; the rate is then the one that a draw exceeds with probability
    `delta`, rounded up by less than 1e-6. By class, each class has its own draw: the rate is the
    largest one of the classes that have a threshold of their own, each with `delta` divided by
    their number. Without alpha, the threshold depends on the wrong predictions among the
    calibration images, and with weights of groups on dependent images: the rate is then a bound
    for all thresholds at once (Dvoretzky, Kiefer and Wolfowitz 1956; Massart 1990, for delta up to
    1/2).
    """
    if isinstance(thresholds, ClassThresholds):
        limits = [each for each in thresholds.own if each] or [thresholds.pool]
    else:
        limits = [thresholds.pool]
    if policy.alpha is None or (policy.delta is None and limits[0].weighted):
        return max(_uniform_bound(each, delta / len(limits)) for each in limits)
    if policy.delta is not None and len(limits) == 1:
        return policy.alpha
    return max(
        smallest_rate(len(each.calibration), each.rank, delta=delta / len(limits))
        for each in limits
    )


def _uniform_bound(limit: Limit, delta: float) -> float:
    n = len(limit.calibration)
    above = float(np.mean(limit.calibration > limit.threshold))
    bound = above + math.sqrt(math.log(1 / min(delta, 0.5)) / (2 * n))
    return min(bound, LARGEST_RATE)
