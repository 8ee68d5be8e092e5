"""Bets against uniform ranks that are fixed beforehand, as one table.

A bet is a density on (0, 1): it multiplies a stake by its value at the rank, by 1 on average if
ranks are uniform. Here every density is constant on the cells of one partition, so that a bet is
looked up, bounded, and has a mean that is a finite sum.
"""

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration import rejection_rank
from oodguard.models.decision import Policy
from oodguard.models.errors import CalibrationError

Floats = NDArray[np.float64]

EDGES: Floats = np.array(
    [0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.99, 1]
)
"""The cells: fine where out-of-distribution scores are, at small ranks."""

WIDTHS: Floats = np.diff(EDGES)

HIGHER_SCORES = (0.1, 0.2, 0.4, 0.7)
"""Exponents k of power bets k u^(k - 1) on scores that are higher than they used to be."""

LOWER_SCORES = (0.2, 0.5)
"""The same mirrored, for scores that are lower: a picture that repeats, a lens cap."""

SHARES = (0.01, 0.05, 0.25, 1.0)
"""How much of the traffic a bet supposes to have changed."""


def fixed_bets() -> Floats:
    """Return the logarithms of all bets by cell, `(cells, K)`.

    Each is (1 - share) + share f, with f the average of a power bet over a cell: what the ranks
    would be like if a `share` of the scores came from f and the rest as always. Power bets are
    those of Vovk, Nouretdinov & Gammerman 2003, "Testing exchangeability on-line".
    """
    higher = [np.diff(EDGES**k) / WIDTHS for k in HIGHER_SCORES]
    lower = [-np.diff((1 - EDGES) ** k) / WIDTHS for k in LOWER_SCORES]
    shapes = np.stack([*higher, *lower], axis=1)
    bets = [(1 - share) + share * shapes for share in SHARES]
    return np.asarray(np.log(np.concatenate(bets, axis=1)))


def cells(ranks: Floats) -> NDArray[np.int64]:
    """Return the cell `(n,)` of every rank `(n,)`; a rank on an edge counts to the cell below."""
    return np.searchsorted(EDGES[1:-1], ranks, side="left").astype(np.int64)


MEMORIES = (300, 3000)
"""How many ranks each histogram remembers: what is older has faded to a third and less."""

PRIOR = 100.0
"""How many uniform ranks a histogram believes to have seen before any."""

CHUNK = 128
"""The most ranks that are learned from at a time."""

_LAGS = np.arange(CHUNK)[:, None] - np.arange(CHUNK)[None, :] - 1

_KEPT = {memory: np.tril((1 - 1 / memory) ** np.maximum(_LAGS, 0), -1) for memory in MEMORIES}
"""How much of the l-th rank of a chunk is left when the k-th is bet on, at [k, l]."""


def nothing_learned() -> Floats:
    """Return the faded counts of no ranks, `(memories, cells)`."""
    return np.zeros((len(MEMORIES), len(WIDTHS)))


def learned_bets(faded: Floats, cells: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Bet on ranks in `cells` `(n,)`, n at most CHUNK, each by what came before it.

    Args:
        faded: Counts of earlier ranks by cell, `(memories, cells)`.
        cells: The cells that the ranks fell into.

    Returns:
        The logarithms of the bets `(n, memories)`, and the counts afterwards.
    """
    same = cells[:, None] == cells[None, :]
    bets, after = zip(
        *(_one(row, memory, cells, same) for row, memory in zip(faded, MEMORIES, strict=True)),
        strict=True,
    )
    return np.stack(bets, axis=1), np.stack(after)


def _one(
    faded: Floats, memory: int, cells: NDArray[np.int64], same: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    n = len(cells)
    kept = _KEPT[memory][:n, :n]
    fading = (1 - 1 / memory) ** np.arange(n + 1)
    mine = fading[:n] * faded[cells] + (kept * same).sum(axis=1)
    all_cells = fading[:n] * faded.sum() + kept.sum(axis=1)
    widths = WIDTHS[cells]
    log_bets = np.log((mine + PRIOR * widths) / ((all_cells + PRIOR) * widths))
    fresh = np.bincount(cells, weights=fading[:n][::-1], minlength=len(WIDTHS))
    return log_bets, fading[n] * faded + fresh


ODDS = (1.1, 1.3, 1.7, 2.5, 5.0, 20.0)
"""By how much the bets suppose the odds of a rejection to have grown."""


def rejection_bets(rate: float) -> Floats:
    """Return the logarithms of the bets, `(2, K)`: in row 0 on accept, in row 1 on reject.

    Each is the likelihood ratio of a rate q > `rate` to `rate`. It rises with a rejection, so that
    its mean, 1 at `rate`, is below 1 at any smaller one.
    """
    odds = np.array(ODDS) * rate / (1 - rate)
    q = odds / (1 + odds)
    return np.log(np.stack([(1 - q) / (1 - rate), q / rate]))


def honest_rate(calibration_images: int, policy: Policy, *, delta: float) -> float:
    """Return the rate of false rejections that the policy stays within, with confidence.

    Under a policy with a `delta` of its own that is its alpha, with confidence 1 - `policy.delta`
    over the draw of the calibration set. One without promises alpha on average over draws, and
    about every other draw breaks it. What may be bet against is then the rate that a draw breaks
    with probability `delta`, rounded up by less than a millionth.

    Raises:
        CalibrationError: too few calibration images for the policy.
    """
    k = rejection_rank(calibration_images, alpha=policy.alpha, delta=policy.delta)
    if policy.delta is not None:
        return policy.alpha
    low, high = policy.alpha, 1.0
    for _ in range(24):
        middle = (low + high) / 2
        if _rank_within(calibration_images, middle, delta) < k:
            low = middle
        else:
            high = middle
    return high


def _rank_within(n: int, rate: float, delta: float) -> int:
    """Return the largest rank of `n` that keeps to `rate` with confidence, 0 if none does."""
    try:
        return rejection_rank(n, alpha=rate, delta=delta)
    except CalibrationError:
        return 0
