"""Compute the outcome of a policy at other values of alpha, for the slider of the playground."""

from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oodguard.models.bundle import Bundle
from oodguard.models.decision import Policy
from oodguard.models.errors import CalibrationError
from oodguard.models.policy_outcomes import measured_aurocs, policy_outcome
from oodguard.models.policy_thresholds import policy_thresholds
from oodguard.models.thresholds import ClassThresholds, Thresholds

Json: TypeAlias = dict[str, Any]

ALPHAS = (
    *(0.001, 0.002, 0.003, 0.005, 0.0075),
    *(percent / 100 for percent in range(1, 21)),
    *(percent / 100 for percent in range(25, 55, 5)),
)
"""The values of alpha. A policy with another one adds its own."""

BINS = 40

# The tails beyond these quantiles would leave the rest of the histogram in a few bins.
OUTER_QUANTILES = (0.001, 0.999)


def threshold_grid(bundle: Bundle, policy: Policy, thresholds: Thresholds) -> Json:
    """Return the calibration histogram of the deciding score, its AUROC, and the outcomes by alpha.

    The outcomes are those of `oodguard policy`: `models.policy_outcomes` computes both. An alpha
    for which the bundle has too few calibration images has no outcome. `missed` has the share of
    each set of outliers that the evaluation, or `wrap`, accepted; it is empty where it is unknown.

    Args:
        bundle: The bundle.
        policy: The policy that is in effect.
        thresholds: Its thresholds.
    """
    alphas = sorted({*ALPHAS, *([] if policy.alpha is None else [policy.alpha])})
    outcomes = [each for alpha in alphas if (each := _outcome(bundle, policy, alpha)) is not None]
    return {
        "score": policy.score,
        "alpha": policy.alpha,
        "histogram": histogram(thresholds.pool.calibration),
        "outcomes": outcomes,
        "aurocs": [
            {"epsilon_255": budget, "auroc": auroc}
            for budget, auroc in measured_aurocs(bundle, policy.score).items()
        ],
    }


def histogram(scores: NDArray[np.float32] | NDArray[np.float64]) -> Json:
    """Return the histogram of calibration scores `(n,)`: `BINS` bins of one width.

    Scores beyond the outer quantiles count in the first and the last bin.
    """
    wide = scores.astype(np.float64)
    low, high = np.quantile(wide, OUTER_QUANTILES).tolist()
    if not low < high:
        low, high = low - 0.5, low + 0.5
    counts, edges = np.histogram(wide.clip(low, high), bins=BINS, range=(low, high))
    return {"edges": edges.tolist(), "counts": counts.tolist(), "images": len(wide)}


def _outcome(bundle: Bundle, policy: Policy, alpha: float) -> Json | None:
    # Beta would report that it does not hold, and does not change a threshold that alpha sets.
    chosen = replace(policy, alpha=alpha, beta=None)
    try:
        found = policy_outcome(bundle, chosen)
    except CalibrationError:
        return None
    clean = next((each for each in found.evaluation if not each.budget), None)
    return {
        "alpha": alpha,
        "threshold": found.threshold,
        "class_thresholds": _class_thresholds(policy_thresholds(bundle, chosen)),
        "rejected": found.rejected,
        "missed": dict(clean.missed) if clean else {},
    }


def _class_thresholds(thresholds: Thresholds) -> list[float] | None:
    if not isinstance(thresholds, ClassThresholds):
        return None
    return [(own or thresholds.pool).threshold for own in thresholds.own]
