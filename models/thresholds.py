"""Thresholds of a score, for all images or for each predicted class.

Each promise of a policy is a rank k among n calibration scores: an image is rejected if its score
is above the k-th largest, which is the same as p <= k / (n + 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration import Scores, p_values, smallest_rate
from oodguard.models.decision import rejects
from oodguard.models.group_calibration import GroupReference
from oodguard.models.wrong_and_accepted import UnkeptBeta

Classes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Limit:
    """A threshold, and the calibration scores that it is one of.

    Attributes:
        calibration: The scores `(n,)` of independent images, ascending: one of each group.
        threshold: An image with a higher score is rejected.
        level: The largest p-value of a rejected image: k / (n + 1) for the k-th largest score.
        unkept_beta: The promise beta, if it does not hold at this threshold.
        weighted: All images with the weights of their groups, if these set the threshold.
    """

    calibration: Scores
    threshold: float
    level: float
    unkept_beta: UnkeptBeta | None = None
    weighted: GroupReference | None = None

    @property
    def rank(self) -> int:
        """The k of the k-th largest score, which is the threshold."""
        return round(self.level * (len(self.calibration) + 1))

    def smallest_alpha(self, score: float, *, delta: float | None) -> float | None:
        """Return the smallest alpha whose threshold is at most a score; None: there is none."""
        if self.weighted is not None:
            return self.weighted.smallest_alpha(score)
        n = len(self.calibration)
        rank = int(np.count_nonzero(self.calibration > score)) + 1
        return None if rank > n else smallest_rate(n, rank, delta=delta)

    def p_values(self, scores: Scores) -> NDArray[np.float64]:
        """Return the conformal p-values `(m,)` of scores `(m,)`."""
        if self.weighted is not None:
            return self.weighted.p_values(scores)
        return p_values(scores, self.calibration)


def ranked_limit(scores: Scores, rank: int) -> Limit:
    """Return the limit whose threshold is the rank-th largest of the scores `(n,)`."""
    ordered = scores.copy()
    ordered.sort()
    ordered.setflags(write=False)
    n = len(ordered)
    return Limit(calibration=ordered, threshold=float(ordered[n - rank]), level=rank / (n + 1))


class Thresholds(Protocol):
    """Decides on scores `(m,)` of images with predicted classes `(m,)`."""

    @property
    def pool(self) -> Limit:
        """The limit that all calibration images set together."""

    @property
    def single(self) -> float | None:
        """The threshold of all images, or None if it depends on the predicted class."""

    @property
    def level(self) -> float:
        """The largest p-value of a rejected image."""

    @property
    def n(self) -> int:
        """The number of independent calibration images: no p-value is below 1 / (n + 1)."""

    @property
    def unkept_beta(self) -> UnkeptBeta | None:
        """The promise beta, if it does not hold."""

    def p_values(self, scores: Scores, classes: Classes) -> NDArray[np.float64]:
        """Return the conformal p-values `(m,)`."""

    def rejects(self, scores: Scores, classes: Classes) -> NDArray[np.bool_]:
        """Return for each image `(m,)` whether it is rejected."""


@dataclass(frozen=True, slots=True, eq=False)
class PoolThresholds:
    """One threshold for all images."""

    pool: Limit

    @property
    def single(self) -> float:
        """The threshold of all images."""
        return self.pool.threshold

    @property
    def level(self) -> float:
        """The largest p-value of a rejected image."""
        return self.pool.level

    @property
    def n(self) -> int:
        """The number of independent calibration images: no p-value is below 1 / (n + 1)."""
        return len(self.pool.calibration)

    @property
    def unkept_beta(self) -> UnkeptBeta | None:
        """The promise beta, if it does not hold."""
        return self.pool.unkept_beta

    def p_values(self, scores: Scores, classes: Classes) -> NDArray[np.float64]:  # noqa: ARG002
        """Return the conformal p-values `(m,)`."""
        return self.pool.p_values(scores)

    def rejects(self, scores: Scores, classes: Classes) -> NDArray[np.bool_]:  # noqa: ARG002
        """Return for each image `(m,)` whether it is rejected."""
        return rejects(scores, self.pool.threshold)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassCounts:
    """The independent calibration images of each predicted class, and how many a class needs.

    Attributes:
        found: The number of images of each class, in the order of the manifest.
        required: The number that the promises require.
        unit: The unit of both numbers: images, or the images that are drawn from the groups.
    """

    found: Sequence[int]
    required: int
    unit: str


class ClassThresholds:
    """A threshold for each predicted class: Mondrian conformal prediction.

    The calibration images of one predicted class set the threshold of this class, so the promises
    hold for the images of each predicted class. Vovk 2012, "Conditional validity of inductive
    conformal predictors", arXiv:1209.2673. A class with too few calibration images, or without a
    threshold at which beta holds, uses the pool, and the promises do not hold for it.

    Args:
        pool: The limit of all calibration images.
        classes: The limit of each class, in the order of the manifest; None: the pool's.
        counts: The numbers of images that the limits were computed from, for messages.
    """

    def __init__(
        self, pool: Limit, classes: Sequence[Limit | None], counts: ClassCounts | None = None
    ) -> None:
        self.pool = pool
        self.counts = counts
        self.own = tuple(classes)
        self._limits = tuple(each or pool for each in classes)
        self._thresholds = np.array([each.threshold for each in self._limits])
        self._promised = np.array([each is not None for each in classes])

    @property
    def single(self) -> None:
        """There is no threshold of all images."""
        return

    @property
    def level(self) -> float:
        """The largest p-value of a rejected image."""
        return max(each.level for each in self._limits)

    @property
    def n(self) -> int:
        """The number of independent calibration images of the class that has the most."""
        return max(len(each.calibration) for each in self._limits)

    @property
    def unkept_beta(self) -> UnkeptBeta | None:
        """The promise beta of the class in which the largest share is wrong and accepted."""
        unkept = [each.unkept_beta for each in self.own if each and each.unkept_beta]
        return max(unkept, key=lambda each: each.reachable_beta, default=None)

    def p_values(self, scores: Scores, classes: Classes) -> NDArray[np.float64]:
        """Return the p-values `(m,)` among the calibration images of the predicted classes."""
        found = np.empty(len(scores))
        for each in np.unique(classes):
            rows = classes == each
            found[rows] = self._limits[each].p_values(scores[rows])
        return found

    def rejects(self, scores: Scores, classes: Classes) -> NDArray[np.bool_]:
        """Return for each image `(m,)` whether it is rejected."""
        return rejects(scores, self._thresholds[classes])

    def broken_promises(self, scores: Scores, classes: Classes) -> NDArray[np.bool_]:
        """Return which images `(m,)` the policy rejects against a promise: those of its classes."""
        counted: NDArray[np.bool_] = self.rejects(scores, classes) & self._promised[classes]
        return counted
