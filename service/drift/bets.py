"""Bets against uniform ranks that are fixed beforehand, as one table.

A bet is a density on (0, 1): it multiplies a stake by its value at the rank, by 1 on average if
ranks are uniform. Here every density is constant on the cells of one partition, so that a bet is
looked up, bounded, and has a mean that is a finite sum.
"""

import numpy as np
from numpy.typing import NDArray

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
