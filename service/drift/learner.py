"""Bets that learn their density from the ranks before: for changes of a shape nobody foresaw.

A histogram that forgets: Fedorova, Gammerman, Nouretdinov & Vovk 2012, "Plug-in martingales for
testing exchangeability on-line", arXiv:1204.3251, with a histogram in place of a kernel.
"""

import numpy as np
from numpy.typing import NDArray

from service.drift.bets import WIDTHS

Floats = NDArray[np.float64]

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
