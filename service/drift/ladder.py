"""Where a score stands among the calibration scores: one of the m + 1 slots that they leave.

Equal scores are told apart by keys drawn at random, one for every calibration score, once, and one
for every new score. Scores with their keys have no ties and are as exchangeable as the scores were,
so that what is said of ranks without ties is exact for any scores.
"""

import numpy as np
from numpy.typing import NDArray

from models.calibration import Scores

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
