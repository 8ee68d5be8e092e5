"""Decide to accept or reject: the policy, its common threshold, and the comparison."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration import Scores, check_rates, rejection_rank
from oodguard.models.errors import InvalidPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """The promises that an operator sets; `models/thresholds.py` computes their thresholds.

    Attributes:
        score: The name of the deciding score. Empty: `Scorer` takes the default of its bundle.
        alpha: The largest false-rejection rate. With None, beta alone sets the threshold.
        delta: 1 - confidence in alpha, and in beta, over the draw of the calibration set. With
            None, each holds on average over such draws.
        by_class: Whether the promises hold for the images of each predicted class, not only for
            all images together.
        under_attack: With a budget in 255ths of the pixel range (L-infinity), alpha also holds for
            images that the recorded attack has perturbed within this budget.
        beta: The largest share of in-distribution images that are accepted with a wrong class.

    Raises:
        InvalidPolicy: A rate is not above 0 and below 1, or the promises exclude each other.
    """

    score: str = ""
    alpha: float | None = 0.05
    delta: float | None = 0.05
    by_class: bool = False
    under_attack: int | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        check_rates(alpha=self.alpha, delta=self.delta, beta=self.beta)
        if self.alpha is None and self.beta is None:
            raise InvalidPolicy(
                "alpha is none and beta is none, expected a rate for at least one of them"
            )
        if self.under_attack is None:
            return
        if self.alpha is None:
            raise InvalidPolicy(
                f"under_attack is {self.under_attack} and alpha is none, expected alpha too: under"
                " attack, false rejections are bounded, and beta concerns images without an attack"
            )
        if self.by_class:
            raise InvalidPolicy(
                f"by_class is true and under_attack is {self.under_attack}, expected one of them:"
                " a perturbation changes the predicted class too, so that thresholds by class would"
                " not hold for weaker attacks. Set by_class to false, or under_attack to none"
            )

    @property
    def false_rejection_rate(self) -> float:
        """The value of alpha.

        Raises:
            InvalidPolicy: The policy has none.
        """
        if self.alpha is None:
            raise InvalidPolicy("alpha is none, expected a value above 0 and below 1")
        return self.alpha


def threshold(calibration_sorted: Scores, policy: Policy) -> float:
    """Return the k-th largest of the ascending calibration scores `(n,)`; see `rejection_rank`.

    This is the threshold for alpha over all images; the policy's other promises are not considered.

    Raises:
        CalibrationError: Too few scores for the policy.
    """
    n = len(calibration_sorted)
    rank = rejection_rank(n, alpha=policy.false_rejection_rate, delta=policy.delta)
    return float(calibration_sorted[n - rank])


def rejects(scores: Scores, threshold: float | NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each score `(m,)` whether it is rejected: strictly above the threshold, or NaN.

    Equivalent to p <= k / (n + 1), also for ties. There may be a threshold for each score `(m,)`,
    and for scores `(m, S)` S thresholds.
    """
    # The negation of <= rejects NaN. In float64 the threshold is not rounded to the scores' type.
    return ~(np.asarray(scores, dtype=np.float64) <= threshold)
