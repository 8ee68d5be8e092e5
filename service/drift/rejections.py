"""Bets on "more than a given rate of images is rejected".

The hypothesis is that each image is rejected with probability at most `rate`, whatever came before.
Waudby-Smith & Ramdas 2020, "Estimating means of bounded random variables by betting",
arXiv:2010.09686.
"""

import numpy as np
from numpy.typing import NDArray

from models.calibration import rejection_rank
from models.decision import Policy
from models.errors import CalibrationError

Floats = NDArray[np.float64]

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
