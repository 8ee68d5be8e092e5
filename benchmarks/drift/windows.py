"""What is commonly watched in place of a martingale: a sliding window and a limit."""

import math

import numpy as np
from numpy.typing import NDArray

from oodguard.models.decision import rejects

Floats = NDArray[np.float64]

WINDOW = 1000
EVERY = 100
"""How many scores a window holds, and after how many it is looked at."""

KS_ONE_PERCENT = 1.628
"""The two-sample Kolmogorov-Smirnov test's factor for a level of 1 %."""


def looks(n: int) -> NDArray[np.int64]:
    """Return the numbers of scores `(L,)` of `n` after which a full window is looked at."""
    return np.arange(WINDOW, n + 1, EVERY)


def rejection_rates(scores: Floats, threshold: float) -> Floats:
    """Return the share of rejections in the window at each look, `(L,)`."""
    ends = looks(len(scores))
    total = np.concatenate([[0], np.cumsum(rejects(scores, threshold))])
    return np.asarray((total[ends] - total[ends - WINDOW]) / WINDOW)


def ks_distances(scores: Floats, calibration: Floats) -> Floats:
    """Return the largest gap between the distributions of window and calibration, `(L,)`."""
    m = len(calibration)
    below = np.searchsorted(calibration, scores, side="left")
    expected = np.arange(m + 1) / m
    return np.array(
        [
            np.abs(
                np.cumsum(np.bincount(below[end - WINDOW : end], minlength=m + 1)) / WINDOW
                - expected
            ).max()
            for end in looks(len(scores))
        ]
    )


def ks_limit(calibration_images: int) -> float:
    """Return the distance that one window exceeds in 1 % of cases."""
    return KS_ONE_PERCENT * math.sqrt(1 / calibration_images + 1 / WINDOW)
