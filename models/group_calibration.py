"""Calibrate with groups of near-duplicates, such as the frames of a film: one group is one draw.

Images of one group resemble each other: 1,000 frames of 60 films are worth less than 1,000 images.
The groups are exchangeable, the images within a group need not be independent. Each promise is for
an image of a new group: the group is drawn as those of the calibration set, and an image of it at
random. The number that counts is that of the groups.

Without `delta` the promise holds on average, and all images are used with the weight 1 / (images of
the group): hierarchical conformal prediction, Lee, Barber & Willett 2023, "Distribution-free
inference with hierarchical data", arXiv:2306.06342.

With `delta` one image of each group is drawn, without regard to its score. These images are
independent draws of the image that the promise is for, so the rank for independent images holds:
single subsampling, Dunn, Wasserman & Ramdas 2022, "Distribution-free prediction sets for two-layer
hierarchical models", arXiv:1809.07441. An upper confidence bound on the mean of the groups'
rejection rates uses all images (Bates et al. 2021, "Distribution-free, risk-controlling prediction
sets"), but its threshold is higher for 60 to 400 films of 8 frames: see docs/calibration.md.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration import Scores, check_rates, images_required, rejection_rank
from oodguard.models.errors import CalibrationError

Groups = NDArray[np.integer]

SEED = 0
"""The seed of the draw of one image per group: the same bundle has the same threshold always."""

DECIMALS = 9
"""Sums of weights in float64 are rounded to them: of thirds, p-values were above 1."""

ROUNDING = 10.0**-DECIMALS
"""The error of a sum of weights in float64 that does not change a decision."""


@dataclass(frozen=True, slots=True, eq=False)
class GroupReference:
    """Calibration scores with the weights that their groups give them.

    Attributes:
        scores: `(m,)`, ascending.
        at_or_above: `(m + 1,)`; the sum of the weights of `scores[i:]`, so the last is 0.
        groups: The number of groups, the effective number of images.
    """

    scores: NDArray[np.float32]
    at_or_above: NDArray[np.float64]
    groups: int

    def p_values(self, scores: Scores) -> NDArray[np.float64]:
        """Return the p-values `(m,)`: (1 + weight of calibration scores at or above) / (G + 1).

        With one image per group they are those of `calibration.p_values`.
        """
        below = np.searchsorted(self.scores, scores, side="left")
        return np.asarray((1 + self.at_or_above[below]) / (self.groups + 1), dtype=np.float64)

    def smallest_alpha(self, threshold: float) -> float:
        """Return the smallest alpha, without delta, whose threshold is at most a score."""
        above = np.searchsorted(self.scores, np.float32(threshold), side="right")
        return float((1 + self.at_or_above[above]) / (self.groups + 1))


def group_reference(scores: Scores, groups: Groups, *, delta: float | None) -> GroupReference:
    """Return what scores are compared with: all images weighted, or with `delta` one per group.

    Args:
        scores: The calibration scores `(n,)`, in the order of the rows.
        groups: The group `(n,)` of each, numbers from 0.
        delta: See `group_threshold`.
    """
    sizes = np.bincount(groups)
    number = int(np.count_nonzero(sizes))
    if delta is None:
        weights = 1 / sizes[groups]
    else:
        scores = scores[one_per_group(groups)]
        weights = np.ones(len(scores))
    order = np.argsort(scores, kind="stable")
    above = np.concatenate((np.cumsum(weights[order][::-1])[::-1], [0.0]))
    above = np.minimum(above.round(DECIMALS), number)
    return GroupReference(scores=scores[order].astype(np.float32), at_or_above=above, groups=number)


def one_per_group(groups: Groups) -> NDArray[np.intp]:
    """Return the row of one image of each group, drawn without regard to anything else."""
    rows = np.random.default_rng(SEED).permutation(len(groups))
    _, first = np.unique(groups[rows], return_index=True)
    return np.sort(rows[first])


def group_threshold(scores: Scores, groups: Groups, *, alpha: float, delta: float | None) -> float:
    """Return the score above which an image is rejected, so that new groups keep the promise.

    Without `delta` it is the smallest calibration score t with
    (1 + weight of the scores above t) / (G + 1) <= alpha. With `delta` it is the k-th largest of
    one score per group, see `calibration.rejection_rank`. An image is rejected exactly if its
    p-value by `group_p_values` is at most alpha, or k / (G + 1).

    Args:
        scores: The calibration scores `(n,)`, in the order of the rows.
        groups: The group `(n,)` of each, numbers from 0.
        alpha: The largest rate of rejected images of new groups.
        delta: 1 - confidence in alpha over the draw of the groups; None: alpha holds on average.

    Raises:
        CalibrationError: Too few groups, or a rate is outside (0, 1).
    """
    check_rates(alpha=alpha, delta=delta)
    reference = group_reference(scores, groups, delta=delta)
    check_groups(reference.groups, alpha=alpha, delta=delta)
    if delta is not None:
        rank = rejection_rank(reference.groups, alpha=alpha, delta=delta)
        return float(reference.scores[len(reference.scores) - rank])
    allowed = float(Fraction(str(alpha)) * (reference.groups + 1)) - 1 + ROUNDING
    above = reference.at_or_above[np.searchsorted(reference.scores, reference.scores, "right")]
    # `above` falls with the score, and is 0 for the largest one.
    return float(reference.scores[np.argmax(above <= allowed)])


def group_p_values(
    scores: Scores, calibration: Scores, groups: Groups, *, delta: float | None
) -> NDArray[np.float64]:
    """Return the p-values `(m,)` of scores `(m,)`, which agree with `group_threshold`.

    A caller with many requests keeps the `group_reference` instead.
    """
    return group_reference(calibration, groups, delta=delta).p_values(scores)


def mean_over_groups(flags: NDArray[np.bool_], groups: Groups | None) -> float:
    """Return the mean of flags `(n,)`; with groups, that of the means of the groups."""
    if groups is None:
        return float(flags.mean())
    sums, sizes = np.bincount(groups, flags), np.bincount(groups)
    return float((sums[sizes > 0] / sizes[sizes > 0]).mean())


def check_groups(number: int, *, alpha: float, delta: float | None, name: str = "alpha") -> None:
    """Check that there are enough groups for the promise; `name` is what errors call `alpha`.

    Raises:
        CalibrationError: The error names the number that is required.
    """
    check_rates(**{name: alpha, "delta": delta})
    required = images_required(alpha, delta)
    if number < required:
        rates = f"{name} {alpha}" + ("" if delta is None else f" with delta {delta}")
        raise CalibrationError(
            f"{number} calibration groups are too few for {rates}, expected at least {required}:"
            f" images of one group count as one. Calibrate with more groups, or set a larger {name}"
            " or delta"
        )
