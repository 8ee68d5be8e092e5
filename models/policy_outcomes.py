"""The images that a policy rejects and misses: of the calibration, and of the evaluation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oodguard.models.bundle import Bundle
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy, rejects
from oodguard.models.group_calibration import mean_over_groups
from oodguard.models.policy_thresholds import limitations, policy_thresholds
from oodguard.models.records import WRAPPED
from oodguard.models.thresholds import Thresholds

ALPHAS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""The grid of alpha."""

Shares = Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluatedShares:
    """The images of the evaluation within one attack budget, 0 for clean ones.

    Attributes:
        budget: The budget in 255ths.
        rejected: The share of test images that is rejected.
        missed: The share of each set of outliers that is accepted.
    """

    budget: float
    rejected: float
    missed: Shares

    @property
    def mean_missed(self) -> float:
        """The unweighted mean over the sets."""
        return sum(self.missed.values()) / len(self.missed)


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyOutcome:
    """The outcome of one policy.

    Attributes:
        policy: The policy.
        threshold: The threshold of all images; None by class.
        rejected: The share of the calibration images that is rejected; the mean over the groups.
        rejected_attacked: The same of the attacked ones, by budget in 255ths; empty if unknown.
        evaluation: The images of the evaluation, clean first; empty if unknown.
        unknown: The reasons why figures are unknown.
        limitations: The parts of the policy that do not hold.
    """

    policy: Policy
    threshold: float | None
    rejected: float
    rejected_attacked: Mapping[int, float]
    evaluation: Sequence[EvaluatedShares]
    unknown: Sequence[str]
    limitations: Sequence[str]


def policy_outcome(bundle: Bundle, policy: Policy) -> PolicyOutcome:
    """Return what a policy does to the images whose scores the bundle has.

    Raises:
        BundleError: The bundle lacks what a promise needs.
        CalibrationError: There are too few calibration images for the policy.
    """
    thresholds = policy_thresholds(bundle, policy)
    rows = bundle.rows
    scores = rows.scores[policy.score]
    classes = np.zeros(len(rows), np.int64) if rows.predicted is None else rows.predicted
    attacked: dict[int, float] = {}
    evaluation: tuple[EvaluatedShares, ...] = ()
    unknown = []
    limit = thresholds.single
    if limit is None:
        unknown.append(
            "attacked images and those of the evaluation: their predicted classes are not stored"
        )
    else:
        if policy.score == bundle.manifest.default_score:
            attacked = {
                budget: _rejected_attacked(found, limit, rows)
                for budget, found in sorted(rows.attacked.items())
            }
        if not attacked:
            unknown.append(
                f"attacked calibration images: the bundle has no attacked scores of {policy.score}"
            )
        try:
            evaluation = tuple(_evaluated(bundle, policy, limit))
        except (LookupError, TypeError, ValueError, AttributeError):
            unknown.append(
                "the images of the evaluation: evaluation.json has another form than those of"
                " `oodguard-train evaluate` and `wrap`"
            )
        else:
            if not evaluation and _is_of_wrap(bundle):
                unknown.append(
                    f"outliers: none were measured with {policy.score} at this threshold."
                    " `oodguard-train wrap --outliers` measures them at that of its --alpha"
                )
            elif not evaluation:
                unknown.append(
                    "the images of the evaluation: evaluation.json has no scores of"
                    f" {policy.score}. `oodguard-train evaluate BUNDLE --renew` of this release"
                    " adds them"
                )
    return PolicyOutcome(
        policy=policy,
        threshold=limit,
        rejected=mean_over_groups(
            thresholds.rejects(scores, classes.astype(np.int64)), rows.groups
        ),
        rejected_attacked=attacked,
        evaluation=evaluation,
        unknown=tuple(unknown),
        limitations=_limitations(thresholds, bundle),
    )


def _rejected_attacked(scores: NDArray[np.float32], limit: float, rows: CalibrationRows) -> float:
    known = ~np.isnan(scores)
    groups = None if rows.groups is None else rows.groups[known]
    return mean_over_groups(rejects(scores[known], limit), groups)


def _limitations(thresholds: Thresholds, bundle: Bundle) -> tuple[str, ...]:
    return tuple(limitations(thresholds, bundle.manifest.classes))


def _evaluated(bundle: Bundle, policy: Policy, limit: float) -> Iterator[EvaluatedShares]:
    """Yield the shares of each condition of the evaluation, if they are known at this threshold.

    They are known from the scores, or at the threshold that the evaluation had.
    """
    if _is_of_wrap(bundle):
        yield from _measured_by_wrap(bundle, policy, limit)
        return
    results: Any = bundle.evaluation.get("results", ())
    measured = [each for each in results if each["score"] == policy.score]
    if not measured:
        return
    same = _is_same(measured[0]["threshold"], limit)
    for condition in measured[0]["conditions"]:
        scores = condition.get("scores")
        if scores is not None:
            rejected = _share_above(scores["inliers"], limit)
            missed = {
                name: 1 - _share_above(found, limit) for name, found in scores["sets"].items()
            }
        elif same:
            rejected = condition["inliers"]["decisions"]["rejected"]
            missed = {name: each["missed_ood_rate"] for name, each in condition["sets"].items()}
        else:
            return
        if not missed:
            raise ValueError("there are no outliers")
        yield EvaluatedShares(budget=condition["epsilon_255"], rejected=rejected, missed=missed)


def measured_aurocs(bundle: Bundle, score: str) -> Mapping[float, float]:
    """Return the mean AUROC of a score over the sets of outliers, by attack budget in 255ths.

    0 is the budget of clean images; else the images of both sides are attacked. It is empty where
    no outliers were measured, and where evaluation.json has another form than those of `evaluate`
    and `wrap`.
    """
    try:
        found = dict(_aurocs(bundle, score))
    except (LookupError, TypeError, ValueError, AttributeError):
        return {}
    return found if all(0 <= each <= 1 for each in found.values()) else {}


def _aurocs(bundle: Bundle, score: str) -> Iterator[tuple[float, float]]:
    if _is_of_wrap(bundle):
        figures: Any = bundle.evaluation["scores"]
        sets = figures[score]["sets"].values()
        if sets:
            yield 0.0, sum(each["auroc"] for each in sets) / len(sets)
        return
    results: Any = bundle.evaluation["results"]
    (measured,) = (each for each in results if each["score"] == score)
    for condition in measured["conditions"]:
        budget = float(condition["epsilon_255"])
        yield budget, float(condition["mean"]["both_attacked" if budget else "clean"]["auroc"])


def _is_of_wrap(bundle: Bundle) -> bool:
    """Return whether evaluation.json has the figures of `oodguard-train wrap`."""
    return bundle.evaluation.get("kind") == WRAPPED


def _measured_by_wrap(bundle: Bundle, policy: Policy, limit: float) -> Iterator[EvaluatedShares]:
    """Yield the shares that `oodguard-train wrap` measured, if it was at this threshold."""
    figures: Any = bundle.evaluation["scores"]
    measured = figures.get(policy.score)
    if measured is None or not measured["sets"] or not _is_same(measured["threshold"], limit):
        return
    yield EvaluatedShares(
        budget=0,
        rejected=measured["false_rejection_rate"],
        missed={name: each["missed_ood_rate"] for name, each in measured["sets"].items()},
    )


def _is_same(measured: float, limit: float) -> bool:
    return bool(np.isclose(measured, limit, rtol=1e-4, atol=1e-6))


def _share_above(scores: Sequence[float], limit: float) -> float:
    found: NDArray[np.float64] = np.array(scores, np.float64)
    if not found.size:
        raise ValueError("there are no images")
    return float(rejects(found, limit).mean())
