"""What a stricter or laxer threshold would cost on the very images that were measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.metrics import Scores, false_rejection_rate, missed_ood_rate

REJECTED = (0.01, 0.02, 0.05, 0.1, 0.2)
"""The shares of clean in-distribution images that the rows give away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trade:
    """One threshold: the share of in-distribution images that it rejects, and of OOD it misses.

    `missed_attacked` is None where nothing was attacked. Means are plain ones over the sets.
    """

    rejected: float
    missed: float
    missed_attacked: float | None


def trades(
    inliers: Scores, outliers: Mapping[str, Scores], attacked: Mapping[str, Scores]
) -> list[Trade]:
    """Return what each of `REJECTED` buys, by clean scores and by those of attacked outliers."""
    limits = [limit_rejecting(inliers, share) for share in REJECTED]
    return [
        Trade(
            rejected=false_rejection_rate(inliers, limit),
            missed=_mean_missed(list(outliers.values()), limit),
            missed_attacked=_mean_missed(list(attacked.values()), limit) if attacked else None,
        )
        for limit in limits
    ]


def limit_rejecting(inliers: Scores, share: float) -> float:
    """Return the lowest score of `(n,)` above which at most this share of them lies."""
    most = int(np.floor(share * len(inliers) + 1e-9))
    return float(np.sort(inliers)[len(inliers) - 1 - most])


def _mean_missed(sets: Sequence[Scores], limit: float) -> float:
    return float(np.mean([missed_ood_rate(scores, limit) for scores in sets]))
