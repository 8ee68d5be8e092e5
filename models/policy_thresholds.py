"""The thresholds of a policy, from the calibration images of a bundle."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from oodguard.models.bundle import Bundle
from oodguard.models.calibration import images_required, rejection_rank
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy
from oodguard.models.errors import BundleError, CalibrationError
from oodguard.models.group_calibration import (
    check_groups,
    group_reference,
    group_threshold,
    one_per_group,
)
from oodguard.models.thresholds import (
    ClassCounts,
    ClassThresholds,
    Limit,
    PoolThresholds,
    Thresholds,
    ranked_limit,
)
from oodguard.models.wrong_and_accepted import WrongAndAccepted, rounded_up

Rows = NDArray[np.intp]

CALIBRATE = "Export the bundle again, or calibrate it with `oodguard calibrate`"


def rows_threshold(rows: CalibrationRows, name: str, policy: Policy) -> float:
    """Return the value of a score above which the policy rejects an image of any class.

    Alpha sets it, or beta if there is no alpha.

    Raises:
        CalibrationError: There are too few images, or groups, for the policy.
        BundleError: Beta sets it, and the rows have no labels.
    """
    errors = None if policy.alpha is not None else _errors(rows, policy)
    return _limit(rows.scores[name], rows.groups, errors, policy).threshold


def policy_thresholds(bundle: Bundle, policy: Policy) -> Thresholds:
    """Return the thresholds of a bundle under a policy.

    Raises:
        BundleError: The bundle lacks the policy's score, or what one of its promises needs of each
            calibration image.
        CalibrationError: The bundle has too few calibration images for the policy, or they all
            have the same score.
    """
    manifest, rows = bundle.manifest, bundle.rows
    if policy.score not in bundle.calibration:
        raise BundleError(
            f"the score is {policy.score!r}, expected one of"
            f" {', '.join(manifest.scores)}, the scores of {manifest.name}"
        )
    deciding = rows.scores[policy.score]
    if deciding.min() == deciding.max():
        raise CalibrationError(
            f"the {len(rows)} calibration images all have the {policy.score} score"
            f" {deciding[0]:g}, expected different scores: no threshold separates images. Set"
            " another score, or calibrate the bundle again"
        )
    errors = _errors(rows, policy)
    if policy.under_attack is not None:
        if policy.score != manifest.default_score:
            raise BundleError(
                f"the score is {policy.score!r} and under_attack is {policy.under_attack}, expected"
                f" the score {manifest.default_score!r}: the bundle has no other score of attacked"
                " calibration images"
            )
        deciding = attacked_scores(rows, policy.under_attack)
    known = np.flatnonzero(~np.isnan(deciding))
    groups = None if rows.groups is None else rows.groups[known]
    pool = _limit(deciding[known], groups, errors, policy)
    if not policy.by_class:
        return PoolThresholds(pool)
    if rows.predicted is None:
        raise BundleError(
            "by_class is true, but the bundle has no predicted classes of its calibration images."
            f" {CALIBRATE}"
        )
    used = known if groups is None else known[one_per_group(groups)]
    members = [used[rows.predicted[used] == k] for k in range(len(manifest.classes))]
    counts = ClassCounts(
        found=[len(each) for each in members],
        required=max(
            images_required(rate, policy.delta)
            for rate in (policy.alpha, policy.beta)
            if rate is not None
        ),
        unit="images" if groups is None else "images, of which one is drawn from each group",
    )
    return ClassThresholds(pool, [_class_limit(rows, each, policy) for each in members], counts)


def limitations(thresholds: Thresholds, classes: Sequence[str]) -> list[str]:
    """Return in words where a policy does not hold."""
    if not isinstance(thresholds, ClassThresholds):
        unkept_beta = thresholds.pool.unkept_beta
        return [] if unkept_beta is None else [str(unkept_beta)]
    return [*_beta_by_class(thresholds, classes), *_classes_in_pool(thresholds, classes)]


def _beta_by_class(thresholds: ClassThresholds, classes: Sequence[str]) -> Iterator[str]:
    unkept = [
        (name, limit.unkept_beta)
        for name, limit in zip(classes, thresholds.own, strict=True)
        if limit and limit.unkept_beta
    ]
    if unkept:
        beta = f"beta {unkept[0][1].beta:g}"
        figures = ", ".join(
            f"{name} {rounded_up(each.reachable_beta)} ({each.alpha_text})" for name, each in unkept
        )
        yield (
            f"{beta} does not hold with alpha for {len(unkept)} of {len(classes)} classes. The beta"
            f" that holds at the threshold of each (and the alpha from which {beta} holds):"
            f" {figures}"
        )


def _classes_in_pool(thresholds: ClassThresholds, classes: Sequence[str]) -> Iterator[str]:
    counts = thresholds.counts
    pooled = [index for index, limit in enumerate(thresholds.own) if limit is None]
    # Alpha has a threshold for every class with the required number of images, and beta may not.
    without_beta = [at for at in pooled if counts and counts.found[at] >= counts.required]
    few = [at for at in pooled if at not in without_beta]
    if few:
        unit = counts.unit if counts else "images"
        is_one = len(few) == 1
        verb, use, them = ("has", "uses", "it") if is_one else ("have", "use", "them")
        expected = f", expected at least {counts.required:,} of each," if counts else ""
        figures = ", ".join(
            f"{classes[at]} ({counts.found[at]:,})" if counts else classes[at] for at in few
        )
        yield (
            f"{len(few)} of {len(classes)} classes {verb} too few calibration {unit}{expected}"
            f" and {use} the common threshold, so the policy does not hold for {them}: {figures}"
        )
    if without_beta:
        is_one = len(without_beta) == 1
        their, use, them = ("its", "It uses", "it") if is_one else ("their", "They use", "them")
        names = ", ".join(classes[at] for at in without_beta)
        yield (
            f"beta holds at no threshold for {len(without_beta)} of {len(classes)} classes, because"
            f" {their} calibration images with the lowest scores are predicted wrongly. {use}"
            f" the common threshold, so the policy does not hold for {them}: {names}"
        )


def attacked_scores(rows: CalibrationRows, budget: int) -> NDArray[np.float32]:
    """Return the default score `(n,)` of the images attacked within a budget in 255ths.

    It is NaN for images that were not attacked.

    Raises:
        BundleError: The bundle does not have them for this budget.
    """
    if budget in rows.attacked:
        return rows.attacked[budget]
    if not rows.attacked:
        raise BundleError(
            f"under_attack is {budget}, but the bundle has no scores of attacked calibration"
            " images. Add them with `oodguard-train attack BUNDLE`"
        )
    stored = ", ".join(map(str, sorted(rows.attacked)))
    raise BundleError(
        f"under_attack is {budget}, expected one of the budgets at which the calibration images"
        f" were attacked, in 255ths: {stored}"
    )


def _errors(
    rows: CalibrationRows, policy: Policy, used: Rows | None = None
) -> WrongAndAccepted | None:
    """Return the bound beta on independent rows, by default one of each group, if there is one."""
    if policy.beta is None:
        return None
    if rows.labels is None or rows.predicted is None:
        lacking = "labels" if rows.labels is None else "predicted classes"
        raise BundleError(
            f"beta is {policy.beta:g}, but the bundle has no {lacking} of its calibration images."
            f" {CALIBRATE}, with labelled images"
        )
    if used is None:
        used = np.arange(len(rows)) if rows.groups is None else one_per_group(rows.groups)
    return WrongAndAccepted(
        scores=rows.scores[policy.score][used],
        wrong=(rows.predicted != rows.labels)[used],
        beta=policy.beta,
        delta=policy.delta,
    )


def _class_limit(rows: CalibrationRows, members: Rows, policy: Policy) -> Limit | None:
    """Return the limit that independent images of a predicted class set, or None.

    There is none if they are too few, or if beta holds at no threshold.

    Of a group that shows several classes, one image is drawn over all classes: an image at random
    of a new group, given its predicted class, is such an image. One image of each group that shows
    the class would give groups with few images of it a larger weight than they have in traffic.
    """
    scores = rows.scores[policy.score][members]
    try:
        return _limit(scores, None, _errors(rows, policy, members), policy)
    except CalibrationError:
        return None


def _limit(
    deciding: NDArray[np.float32],
    groups: NDArray[np.int32] | None,
    errors: WrongAndAccepted | None,
    policy: Policy,
) -> Limit:
    """Return the limit that images with the scores `deciding` `(n,)` and these groups set.

    With alpha, this is its threshold, and beta holds there or not at all. A higher threshold for
    beta would miss more outliers, and would keep no further promise.

    Raises:
        CalibrationError: There are too few images or groups.
    """
    if groups is not None and policy.alpha is not None:
        check_groups(len(np.unique(groups)), alpha=policy.alpha, delta=policy.delta)
    if groups is not None and errors is not None:
        check_groups(len(errors.scores), alpha=errors.beta, delta=policy.delta, name="beta")
    if policy.alpha is None and errors is not None:
        return ranked_limit(errors.scores, errors.rank())
    if groups is not None and policy.delta is None:
        limit = _weighted_limit(deciding, groups, policy)
    else:
        drawn = deciding if groups is None else deciding[one_per_group(groups)]
        alpha = policy.false_rejection_rate
        rank = rejection_rank(len(drawn), alpha=alpha, delta=policy.delta)
        limit = ranked_limit(drawn, rank)
    if errors is None:
        return limit
    smallest_alpha = partial(limit.smallest_alpha, delta=policy.delta)
    return replace(limit, unkept_beta=errors.unkept_beta(limit.threshold, smallest_alpha))


def _weighted_limit(
    deciding: NDArray[np.float32], groups: NDArray[np.int32], policy: Policy
) -> Limit:
    """Return the limit of images that the groups of all of them set together; see `Limit`."""
    alpha = policy.false_rejection_rate
    return Limit(
        calibration=np.sort(deciding[one_per_group(groups)]),
        threshold=group_threshold(deciding, groups, alpha=alpha, delta=None),
        level=alpha,
        weighted=group_reference(deciding, groups, delta=None),
    )
