"""Compare a new calibration with the one that it replaces."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy, rejects
from oodguard.models.decision import threshold as threshold_of
from oodguard.models.errors import BundleError, CalibrationError
from oodguard.models.group_calibration import (
    ROUNDING,
    check_groups,
    mean_over_groups,
    one_per_group,
)
from oodguard.models.policy_thresholds import rows_threshold
from oodguard.models.two_sample import (
    KolmogorovSmirnov,
    kolmogorov_smirnov,
    none_exceeding_p_value,
    tail_p_value,
)

SIGNIFICANT = 0.01
"""A warning is given below this p-value: one in a hundred calibrations without a cause."""

CONTAMINATION = (0.01, 0.05)
"""Shares of outliers for which the lowest threshold is stated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationComparison:
    """A new calibration and the older one, by the deciding score.

    Attributes:
        older: The older threshold; None: there were too few images for the policy, or no labels.
        newer: The new threshold.
        older_at_older: The share of the older images that the older threshold rejects.
        newer_at_older: The share of the new images that it rejects.
        older_at_newer: The share of the older images that the new threshold rejects.
        newer_at_newer: The share of the new images that it rejects.
        distribution: The Kolmogorov-Smirnov test of the scores.
        tail: The p-value of too many large scores among the new ones.
        lowest: By share of outliers among the images, or the groups, the lowest threshold without
            them; None: too few images, or no alpha.
        warnings: Texts for a person who should look at the images.
    """

    older: float | None
    newer: float
    older_at_older: float | None
    newer_at_older: float | None
    older_at_newer: float
    newer_at_newer: float
    distribution: KolmogorovSmirnov
    tail: float
    lowest: Mapping[float, float | None]
    warnings: tuple[str, ...]


def compare(
    older: CalibrationRows, newer: CalibrationRows, policy: Policy
) -> CalibrationComparison:
    """Compare two calibrations under a policy; the tests use one image per group.

    Raises:
        CalibrationError: There are too few new images for the policy.
        BundleError: The policy has no alpha, and the new images have no labels.
    """
    threshold = rows_threshold(newer, policy.score, policy)
    try:
        before: float | None = rows_threshold(older, policy.score, policy)
    except (BundleError, CalibrationError):
        before = None
    first, second = _independent(older, policy.score), _independent(newer, policy.score)
    distribution, tail = kolmogorov_smirnov(first, second), tail_p_value(first, second)
    return CalibrationComparison(
        older=before,
        newer=threshold,
        older_at_older=None if before is None else _rejected(older, policy.score, before),
        newer_at_older=None if before is None else _rejected(newer, policy.score, before),
        older_at_newer=_rejected(older, policy.score, threshold),
        newer_at_newer=_rejected(newer, policy.score, threshold),
        distribution=distribution,
        tail=tail,
        lowest={share: _without_largest(newer, policy, share) for share in CONTAMINATION},
        warnings=(
            *_differences(first, second, distribution, tail),
            *_only_accepted(older, newer, policy.score, before),
            *_lost(older, newer),
        ),
    )


def _differences(
    older: NDArray[np.float32],
    newer: NDArray[np.float32],
    distribution: KolmogorovSmirnov,
    tail: float,
) -> Iterator[str]:
    """Yield in which ways the scores of independent images differ."""
    if tail < SIGNIFICANT:
        yield (
            "More of the images than expected have scores above the largest ones of the older"
            f" calibration (p {tail:.2g}): outliers may be among them, and would be accepted from"
            " now on. Look at the images with the largest scores, and leave out those of no class"
        )
    if distribution.p_value < SIGNIFICANT:
        is_lower = np.median(newer) < np.median(older)
        cause = (
            "lower: images that the model was trained on, or only accepted ones, may be among them"
            if is_lower
            else "higher: the camera or the scene differs, or images of no class are among them"
        )
        yield (
            "The scores differ from those of the older calibration (Kolmogorov-Smirnov distance"
            f" {distribution.distance:.3f}, p {distribution.p_value:.2g}), most of them {cause}"
        )


def _only_accepted(
    older: CalibrationRows, newer: CalibrationRows, score: str, threshold: float | None
) -> Iterator[str]:
    """Yield that no new image is rejected by the older threshold, if that is no chance.

    With groups, whether any of its images is rejected is the draw of a group: one image of each
    group would hide it. This is more often the case in larger groups, so the new ones must have at
    least the size of the older ones.
    """
    if threshold is None or rejects(newer.scores[score], threshold).any():
        return
    if _median_size(newer) >= _median_size(older):
        first, second = _largest_of_groups(older, score), _largest_of_groups(newer, score)
    else:
        first, second = _independent(older, score), _independent(newer, score)
    rank = int(np.count_nonzero(rejects(first, threshold))) + 1
    if none_exceeding_p_value(rank, len(first), len(second)) < SIGNIFICANT:
        yield (
            f"The older threshold {threshold:.6g} rejects none of the {len(newer):,} images:"
            " rejected images seem to be left out. The new threshold then rejects too many of"
            " the images that belong to the classes: add the rejected ones that do"
        )


def _median_size(rows: CalibrationRows) -> float:
    if rows.groups is None:
        return 1
    sizes = np.bincount(rows.groups)
    return float(np.median(sizes[sizes > 0]))


def _largest_of_groups(rows: CalibrationRows, score: str) -> NDArray[np.float32]:
    scores = rows.scores[score]
    if rows.groups is None:
        return scores
    _, numbers = np.unique(rows.groups, return_inverse=True)
    largest = np.full(numbers.max() + 1, -np.inf, np.float32)
    np.maximum.at(largest, numbers, scores)
    return largest


def _lost(older: CalibrationRows, newer: CalibrationRows) -> Iterator[str]:
    """Yield what the older calibration has, the new one has not, and a policy may need."""
    if older.attacked and not newer.attacked:
        yield (
            "The scores of attacked images are left out: they are those of the older images. A"
            " policy with under_attack is refused for this bundle until `oodguard-train attack`"
            " adds scores of the new images"
        )
    if older.labels is not None and newer.labels is None:
        yield (
            "The older calibration has labels and the new one has none: a policy with beta is"
            " refused for this bundle. Calibrate with labelled images to use beta"
        )
    if older.groups is not None and newer.groups is None:
        yield (
            "The older calibration has groups and the new one has none: each image counts as"
            " independent. If images resemble each other, such as frames of a film, the promises do"
            " not hold: name the groups with --group"
        )


def _independent(rows: CalibrationRows, score: str) -> NDArray[np.float32]:
    scores = rows.scores[score]
    return scores if rows.groups is None else scores[one_per_group(rows.groups)]


def _rejected(rows: CalibrationRows, score: str, threshold: float) -> float:
    """Return the share of rejected images; with groups, the mean over the groups."""
    return mean_over_groups(rejects(rows.scores[score], threshold), rows.groups)


def _without_largest(rows: CalibrationRows, policy: Policy, share: float) -> float | None:
    """Return the lowest threshold without this share of images, or of groups if there are any.

    Of n images at most m are outliers. The j-th largest score of the others is at least the
    (j + m)-th largest of all, so the threshold without the m largest scores is the lowest one. It
    also is for fewer outliers, because the rank grows by at most 1 with each image. With groups, an
    outlier is a group, and each other one is represented by the same image; without delta, the
    m groups of which the largest shares are above a threshold are left out, for each threshold.
    Beta depends on labels: None.
    """
    alpha, scores, groups = policy.alpha, rows.scores[policy.score], rows.groups
    if alpha is None:
        return None
    drawn = _independent(rows, policy.score)
    count = len(drawn) - int(np.ceil(share * len(drawn)))
    try:
        if groups is None or policy.delta is not None:
            return threshold_of(np.sort(drawn)[:count], policy)
        check_groups(count, alpha=alpha, delta=None)
    except CalibrationError:
        return None
    candidates = np.unique(scores)
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)

    def is_enough(limit: np.float32) -> bool:
        above = np.sort(np.bincount(numbers, scores > limit) / sizes)
        return bool(1 + above[:count].sum() <= alpha * (count + 1) + ROUNDING)

    return float(candidates[bisect_left(candidates, True, key=is_enough)])
