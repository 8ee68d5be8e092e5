"""Bound the share of images that are accepted with a wrong class, from labelled images.

R(t) = P(score <= t and the predicted class is wrong) increases with the threshold t. Learn then
Test (Angelopoulos et al. 2021, arXiv:2110.01052) tests R(t) > beta with the exact binomial p-value
P(Binomial(n, beta) <= c(t)), where c(t) counts the wrong images of the calibration with scores up
to t. Fixed-sequence testing from low to high thresholds stops at the first p-value above delta.
Because c(t) increases with t, this is the largest t at which the p-value is at most delta, and with
confidence 1 - delta R is at most beta there and at every lower threshold.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration import Scores, rejection_rank, smallest_rate
from oodguard.models.errors import CalibrationError

Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class UnkeptBeta:
    """A beta that does not hold at the threshold that alpha sets.

    Attributes:
        beta: The requested bound.
        reachable_beta: The smallest beta that holds at the threshold of alpha.
        required_alpha: An alpha whose threshold keeps the requested beta, as every larger one does;
            None: no alpha.
    """

    beta: float
    reachable_beta: float
    required_alpha: float | None

    @property
    def alpha_text(self) -> str:
        """The smallest alpha that keeps the bound, or "none"."""
        return "none" if self.required_alpha is None else rounded_up(self.required_alpha)

    def __str__(self) -> str:
        needed = (
            "at no alpha" if self.required_alpha is None else f"from an alpha of {self.alpha_text}"
        )
        return (
            f"beta {self.beta:g} does not hold with alpha: at its threshold a beta of"
            f" {rounded_up(self.reachable_beta)} holds, and beta {self.beta:g} holds {needed}"
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WrongAndAccepted:
    """The bound beta on R, with the calibration images that it is tested on.

    Attributes:
        scores: The scores `(n,)` of the calibration images.
        wrong: Whether their predicted classes are wrong, `(n,)`.
        beta: The bound.
        delta: 1 - confidence in it. With None, it holds on average over calibration sets.
    """

    scores: Scores
    wrong: Flags
    beta: float
    delta: float | None

    def allowed_errors(self) -> int:
        """Return how many of the n images may be accepted with a wrong class.

        With delta, the largest c with P(Binomial(n, beta) <= c) <= delta. Without, the largest with
        (c + 1) / (n + 1) <= beta: conformal risk control, Angelopoulos et al. 2022,
        arXiv:2208.02814. Both are one less than `rejection_rank`.

        Raises:
            CalibrationError: There are too few images.
        """
        n = len(self.scores)
        return rejection_rank(n, alpha=self.beta, delta=self.delta, name="beta") - 1

    def rank(self) -> int:
        """Return the smallest k such that beta holds at the k-th largest score as the threshold.

        It rejects the fewest images; it is 1 if no rejection is needed.

        Raises:
            CalibrationError: There are too few images, or even the images with the lowest score
                have too many errors.
        """
        allowed, of_errors = self.allowed_errors(), np.sort(self.scores[self.wrong])
        if len(of_errors) <= allowed:
            return 1
        rank = int(np.count_nonzero(self.scores >= of_errors[allowed])) + 1
        if rank > len(self.scores):
            raise CalibrationError(
                f"beta {self.beta:g} does not hold even if only the calibration images with the"
                " lowest score are accepted, expected a larger beta"
            )
        return rank

    def unkept_beta(
        self, threshold: float, smallest_alpha: Callable[[float], float | None]
    ) -> UnkeptBeta | None:
        """Return what is reachable if beta does not hold at a threshold; None if it holds.

        Args:
            threshold: The threshold of alpha.
            smallest_alpha: Returns the smallest alpha whose threshold is at most a score.

        Raises:
            CalibrationError: There are too few images for beta.
        """
        n = len(self.scores)
        errors = int(np.count_nonzero(self.wrong & (self.scores <= threshold)))
        if errors <= self.allowed_errors():
            return None
        try:
            alpha = smallest_alpha(float(np.sort(self.scores)[n - self.rank()]))
        except CalibrationError:
            alpha = None
        return UnkeptBeta(
            beta=self.beta,
            reachable_beta=smallest_rate(n, errors + 1, delta=self.delta),
            required_alpha=alpha,
        )


def rounded_up(rate: float) -> str:
    """Write a rate with four decimals, not below it."""
    return f"{np.ceil(rate * 1e4) / 1e4:g}"
