"""Rank each score among the calibration scores and all earlier scores, in bounded memory.

The m calibration scores separate m + 1 slots. A Polya urn counts how many later scores fell into
each slot. Under exchangeability and without ties, all ranks of the next score among the m + n
scores seen so far are equally likely, so it falls into slot j, which c_j of the n scores fell
into, with probability (c_j + 1) / (m + n + 1).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration import Scores

Floats = NDArray[np.float64]

KeyedScores = NDArray[np.complex128]
"""Scores `(n,)` as real parts and their tie-breaking keys as imaginary parts."""


def sort_calibration(calibration: Scores, keys: Floats) -> KeyedScores:
    """Sort finite calibration scores `(m,)` by score, ties by their keys `(m,)` in [0, 1)."""
    return np.sort(_with_keys(calibration, keys))


def slots(calibration: KeyedScores, scores: Scores, keys: Floats) -> NDArray[np.int64]:
    """Return the slot 0 to m of each score: how many calibration scores are smaller.

    NaN and infinity are larger than every calibration score: most out-of-distribution.

    Args:
        calibration: Sorted calibration scores, `(m,)`.
        scores: Scores, `(n,)`.
        keys: Their tie-breaking keys in [0, 1), `(n,)`.
    """
    # NumPy orders complex numbers by real part, then by imaginary part, and NaN last.
    return np.searchsorted(calibration, _with_keys(scores, keys)).astype(np.int64)


def _with_keys(scores: Scores, keys: Floats) -> KeyedScores:
    # Not `scores + 1j * keys`: that would turn infinity into NaN.
    keyed = np.empty(len(scores), dtype=np.complex128)
    keyed.real = scores
    keyed.imag = keys
    return keyed


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotChances:
    """Probabilities under the urn just before each of n scores was added, as integer fractions.

    Attributes:
        above: `above / total` is the probability of any slot above the score's slot, `(n,)`.
        own: `own / total` is the probability of the score's slot, `(n,)`.
        total: The common denominator, m + n + 1, `(n,)`.
    """

    above: NDArray[np.int64]
    own: NDArray[np.int64]
    total: NDArray[np.int64]

    def ranks(self, theta: Floats) -> Floats:
        """Return the ranks `(n,)` in (0, 1]; a small rank means out-of-distribution.

        u = (above + theta * own) / total. With `theta` `(n,)` uniform on (0, 1], the ranks are
        independent and uniform under exchangeability: the slots' intervals tile (0, 1], and the
        position within an interval is random.
        """
        return np.asarray((self.above + theta * self.own) / self.total)


class Urn:
    """Count scores by slot in a Fenwick tree: O(log m) per score.

    The urn is updated in place, because copying it for each batch would dominate the cost.

    Args:
        counts: How many scores have fallen into each slot, `(m + 1,)`.
    """

    def __init__(self, counts: NDArray[np.int64]) -> None:
        self._counts: list[int] = counts.tolist()
        self._seen: int = sum(self._counts)
        # tree[i] holds the sum of the (i & -i) counts that end with the i-th.
        self._tree: list[int] = [0, *self._counts]
        for node in range(1, len(self._tree)):
            parent = node + (node & -node)
            if parent < len(self._tree):
                self._tree[parent] += self._tree[node]

    @property
    def counts(self) -> NDArray[np.int64]:
        """The number of scores in each slot, `(m + 1,)`."""
        return np.array(self._counts, dtype=np.int64)

    @property
    def seen(self) -> int:
        """The number n of scores added so far."""
        return self._seen

    def add(self, slots: NDArray[np.int64]) -> SlotChances:
        """Add the slots `(n,)` of scores in order; return the chances just before each."""
        size = len(self._counts)
        total = self._seen + size + np.arange(len(slots))
        above, own = [], []
        for slot in slots.tolist():
            # Each slot starts with one ball, so it holds one ball more than its count.
            above.append(self._seen - self._count_up_to(slot) + size - 1 - slot)
            own.append(self._counts[slot] + 1)
            self._increment(slot)
        return SlotChances(
            above=np.array(above, dtype=np.int64), own=np.array(own, dtype=np.int64), total=total
        )

    def _count_up_to(self, slot: int) -> int:
        """Return how many scores have fallen into `slot` or below."""
        node, count = slot + 1, 0
        while node:
            count += self._tree[node]
            node &= node - 1
        return count

    def _increment(self, slot: int) -> None:
        self._counts[slot] += 1
        self._seen += 1
        node = slot + 1
        while node < len(self._tree):
            self._tree[node] += 1
            node += node & -node
