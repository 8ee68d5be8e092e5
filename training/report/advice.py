"""Derive recommendations from a report: the weakest set, the excess of false rejections, alpha."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from oodguard.training.report.evidence import EvaluationEvidence, Scores
from oodguard.training.report.metrics import false_rejection_rate, missed_ood_rate
from oodguard.training.report.model import Condition, Report

REJECTED = (0.01, 0.02, 0.05, 0.1, 0.2)
"""The fractions of rejected test images for which trade-offs are shown."""

CHANCE_AUROC = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Trade:
    """One threshold: the fractions of rejected test images and of missed OOD images.

    Missed fractions are unweighted means over the sets. `missed_attacked` is None if nothing was
    attacked.
    """

    rejected: float
    missed: float
    missed_attacked: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """The facts that the recommendations state.

    `most_missed` and `least_missed` are sets, clean. `excess` states whether the false-rejection
    rate is within alpha, above it by no more than the sampling error (two-sided 5 % test), or
    significantly above it. `at_chance` is the smallest budget at which the mean AUROC is at most
    0.5, or None.
    """

    most_missed: str
    least_missed: str
    excess: Literal["none", "sampling error", "significant"]
    at_chance: Condition | None
    trades: tuple[Trade, ...]


def advice(report: Report, evidence: EvaluationEvidence) -> Advice:
    """Return the facts for the recommendations of a report."""
    clean, *attacked = report.conditions
    missed = {name: result.missed_ood_rate for name, result in clean.sets.items()}
    highlighted = report.highlighted
    attacked_outliers = next(
        (
            condition.outliers
            for condition in evidence.conditions
            if highlighted and condition.epsilon_255 == highlighted.epsilon_255
        ),
        {},
    )
    first = evidence.conditions[0]
    return Advice(
        most_missed=max(missed, key=missed.__getitem__),
        least_missed=min(missed, key=missed.__getitem__),
        excess=excess(clean.false_rejection_rate, report.alpha, clean.inliers.images),
        at_chance=next((c for c in attacked if c.mean_auroc <= CHANCE_AUROC), None),
        trades=trades(first.inliers, first.outliers, attacked_outliers),
    )


def excess(
    rejected: float, alpha: float, images: int
) -> Literal["none", "sampling error", "significant"]:
    """Compare a measured false-rejection rate with alpha by the normal approximation."""
    margin = NormalDist().inv_cdf(0.975) * (alpha * (1 - alpha) / images) ** 0.5
    if rejected <= alpha:
        return "none"
    return "sampling error" if rejected <= alpha + margin else "significant"


def trades(
    inliers: Scores, outliers: Mapping[str, Scores], attacked: Mapping[str, Scores]
) -> tuple[Trade, ...]:
    """Return the trade-off of each fraction in `REJECTED`.

    From clean scores `(n,)` of the test images, clean scores `(m,)` of the outliers by set, and
    those of the attacked outliers, empty if nothing was attacked.
    """
    limits = [limit_rejecting(inliers, fraction) for fraction in REJECTED]
    return tuple(
        Trade(
            rejected=false_rejection_rate(inliers, limit),
            missed=_mean_missed(list(outliers.values()), limit),
            missed_attacked=_mean_missed(list(attacked.values()), limit) if attacked else None,
        )
        for limit in limits
    )


def limit_rejecting(inliers: Scores, fraction: float) -> float:
    """Return the lowest score of `(n,)` above which there is at most this fraction of scores."""
    most = int(np.floor(fraction * len(inliers) + 1e-9))
    return float(np.sort(inliers)[len(inliers) - 1 - most])


def _mean_missed(sets: Sequence[Scores], limit: float) -> float:
    return float(np.mean([missed_ood_rate(scores, limit) for scores in sets]))
