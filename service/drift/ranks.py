"""The chance of every slot, given the slots that were seen: a Polya urn.

Let m calibration scores and n scores since be exchangeable and without ties, and let c_j of the n
have fallen into slot j. All ranks of the next score among the m + n being equally likely, it falls
into slot j with probability (c_j + 1) / (m + n + 1). So the urn knows all that ranks can tell, and
it never grows: m + 1 numbers, however long the stream.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration import Scores

Floats = NDArray[np.float64]

Ladder = NDArray[np.complex128]
"""Calibration scores `(m,)` as real parts and their keys as imaginary ones, ascending by both."""


def ladder(calibration: Scores, keys: Floats) -> Ladder:
    """Return finite calibration scores `(m,)` with keys `(m,)` in [0, 1) as a ladder."""
    return np.sort(_with_keys(calibration, keys))


def slots(ladder: Ladder, scores: Scores, keys: Floats) -> NDArray[np.int64]:
    """Return for scores `(n,)` with keys `(n,)` how many rungs lie below each, 0 to m.

    NaN and infinity stand above every rung: most out-of-distribution.
    """
    # NumPy orders complex numbers by real part, then by imaginary part, and NaN last.
    return np.searchsorted(ladder, _with_keys(scores, keys)).astype(np.int64)


def _with_keys(scores: Scores, keys: Floats) -> NDArray[np.complex128]:
    # Not `scores + 1j * keys`: that would turn infinity into NaN.
    both = np.empty(len(scores), dtype=np.complex128)
    both.real = scores
    both.imag = keys
    return both


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """The urn as each of n scores met it: `above` and `own`, out of `total`, all int64 `(n,)`.

    `own` / `total` was the chance of the slot that the score fell into, and `above` / `total` that
    of a slot above.
    """

    above: NDArray[np.int64]
    own: NDArray[np.int64]
    total: NDArray[np.int64]

    def ranks(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the ranks `(n,)` in (0, 1], small meaning out-of-distribution.

        With `theta` `(n,)` uniform on (0, 1] they are, under exchangeability, independent and
        uniform: each slot has an interval as long as its chance, and the place in it is random.
        """
        return np.asarray((self.above + theta * self.own) / self.total)


class Urn:
    """Counts of scores by slot, in a Fenwick tree: O(log m) a score.

    It is the one thing here that changes in place: a copy a batch would cost more than the rest.

    Args:
        counts: How many scores have fallen into each slot, `(m + 1,)`.
    """

    def __init__(self, counts: NDArray[np.int64]) -> None:
        self._counts: list[int] = counts.tolist()
        self._seen: int = sum(self._counts)
        # tree[i] holds the sum of the (i & -i) counts that end with the i-th.
        self._tree: list[int] = [0, *self._counts]
        for place in range(1, len(self._tree)):
            parent = place + (place & -place)
            if parent < len(self._tree):
                self._tree[parent] += self._tree[place]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many scores have fallen into each slot, `(m + 1,)`."""
        return np.array(self._counts, dtype=np.int64)

    @property
    def seen(self) -> int:
        """How many scores have fallen into any slot: n."""
        return self._seen

    def take(self, slots: NDArray[np.int64]) -> Shares:
        """Take in the slots of scores `(n,)`, one after the other, and return what each met."""
        places = len(self._counts)
        total = self._seen + places + np.arange(len(slots))
        above, own = [], []
        for slot in slots.tolist():
            # Every slot holds one ball more than it has seen scores.
            above.append(self._seen - self._up_to(slot) + places - 1 - slot)
            own.append(self._counts[slot] + 1)
            self._add(slot)
        return Shares(above=_int64(above), own=_int64(own), total=total)

    def _up_to(self, slot: int) -> int:
        """Return how many scores have fallen into `slot` or below."""
        place, found = slot + 1, 0
        while place:
            found += self._tree[place]
            place &= place - 1
        return found

    def _add(self, slot: int) -> None:
        self._counts[slot] += 1
        self._seen += 1
        place = slot + 1
        while place < len(self._tree):
            self._tree[place] += 1
            place += place & -place


def _int64(values: list[int]) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)
