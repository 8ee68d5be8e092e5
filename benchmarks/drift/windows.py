"""The common alternative to a martingale: a sliding window with a limit."""

import math

import numpy as np
from numpy.typing import NDArray

from oodguard.models.decision import rejects

Floats = NDArray[np.float64]

WINDOW = 1000
STEP = 100
"""Scores per window, and scores between two evaluations."""

KS_ONE_PERCENT = 1.628
"""The two-sample Kolmogorov-Smirnov test's factor for a level of 1 %."""


def window_ends(n: int) -> NDArray[np.int64]:
    """Return the ends `(L,)` of the windows in `n` scores."""
    return np.arange(WINDOW, n + 1, STEP)


def rejection_rates(scores: Floats, threshold: float) -> Floats:
    """Return the share of rejections in each window, `(L,)`."""
    ends = window_ends(len(scores))
    total = np.concatenate([[0], np.cumsum(rejects(scores, threshold))])
    return np.asarray((total[ends] - total[ends - WINDOW]) / WINDOW)


def ks_distances(scores: Floats, calibration: Floats) -> Floats:
    """Return the Kolmogorov-Smirnov distance of each window from the calibration, `(L,)`."""
    m = len(calibration)
    below = np.searchsorted(calibration, scores, side="left")
    expected = np.arange(m + 1) / m
    return np.array(
        [
            np.abs(
                np.cumsum(np.bincount(below[end - WINDOW : end], minlength=m + 1)) / WINDOW
                - expected
            ).max()
            for end in window_ends(len(scores))
        ]
    )


def ks_limit(calibration_images: int) -> float:
    """Return the distance that one window exceeds with probability 1 %."""
    return KS_ONE_PERCENT * math.sqrt(1 / calibration_images + 1 / WINDOW)
