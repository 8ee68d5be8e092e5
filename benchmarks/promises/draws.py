"""Draw calibration sets from real images, and measure the promises on all of them.

A calibration set is drawn with replacement from the images, or from their groups, so that the
images are the whole distribution: the rates of a policy are known exactly.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.promises.scores import RealScores
from oodguard.models.bundle import Bundle
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy
from oodguard.models.policy_thresholds import policy_thresholds
from oodguard.models.thresholds import Thresholds

Rates = Mapping[str, NDArray[np.float64]]
Measure = Callable[[RealScores, Thresholds], dict[str, float]]


def rates(  # noqa: PLR0913 - by keyword
    real: RealScores,
    policy: Policy,
    measure: Measure,
    *,
    n: int,
    draws: int,
    grouped: bool = False,
    keep_groups: bool = True,
) -> Rates:
    """Return the measured rates `(draws,)` by name.

    Args:
        real: The images.
        policy: The policy; its score is the bundle's default.
        measure: Returns the rates of thresholds on all images.
        n: The number of images of a calibration set, or of its groups.
        draws: The number of calibration sets.
        grouped: Whether groups are drawn, with all their images.
        keep_groups: Whether the calibration knows the groups.
    """
    random = np.random.default_rng(0)
    members = _members(real) if grouped else []
    found: list[dict[str, float]] = []
    for _ in range(draws):
        if grouped:
            chosen = random.integers(0, len(members), n)
            rows = np.concatenate([members[each] for each in chosen])
            groups = np.repeat(np.arange(n), [len(members[each]) for each in chosen])
        else:
            rows, groups = random.integers(0, len(real.scores), n), None
        bundle = _calibrated(real, rows, groups if keep_groups else None)
        found.append(measure(real, policy_thresholds(bundle, policy)))
    return {name: np.array([each[name] for each in found]) for name in found[0]}


def rejected(real: RealScores, thresholds: Thresholds) -> NDArray[np.bool_]:
    """Return which of all images are rejected."""
    return thresholds.rejects(real.scores, real.predicted.astype(np.int64))


def rejection_rate(real: RealScores, thresholds: Thresholds) -> dict[str, float]:
    """Return the share of rejected images."""
    return {"rejected": float(rejected(real, thresholds).mean())}


def group_rate(real: RealScores, thresholds: Thresholds) -> dict[str, float]:
    """Return the share of rejected images of a group, on average over groups."""
    if real.groups is None:
        raise ValueError("the images have no groups")
    sizes = np.bincount(real.groups)
    by_group = np.bincount(real.groups, weights=rejected(real, thresholds)) / sizes
    return {"rejected": float(by_group.mean())}


def class_rates(real: RealScores, thresholds: Thresholds) -> dict[str, float]:
    """Return the share of rejected images of each predicted class."""
    decisions = rejected(real, thresholds)
    return {
        name: float(decisions[real.predicted == index].mean())
        for index, name in enumerate(real.bundle.manifest.classes)
    }


def attacked_rate(budget: int) -> Measure:
    """Return a measure: the share of attacked images that are rejected."""

    def measure(real: RealScores, thresholds: Thresholds) -> dict[str, float]:
        scores = real.attacked[budget]
        return {"rejected": float(thresholds.rejects(scores, np.zeros(len(scores), int)).mean())}

    return measure


def wrong_and_accepted(real: RealScores, thresholds: Thresholds) -> dict[str, float]:
    """Return the share of images that are accepted with a wrong class."""
    wrong = real.predicted != real.labels
    return {"wrong": float((wrong & ~rejected(real, thresholds)).mean())}


def alpha_and_beta(real: RealScores, thresholds: Thresholds) -> dict[str, float]:
    """Return the rates of both promises, and the `reachable_beta` if beta does not hold, or 0."""
    unkept = thresholds.pool.unkept_beta
    return {
        **rejection_rate(real, thresholds),
        **wrong_and_accepted(real, thresholds),
        "reachable": 0.0 if unkept is None else unkept.reachable_beta,
    }


def _members(real: RealScores) -> list[NDArray[np.intp]]:
    if real.groups is None:
        raise ValueError("the images have no groups")
    order = np.argsort(real.groups, kind="stable")
    return np.split(order, np.cumsum(np.bincount(real.groups))[:-1])


def _calibrated(
    real: RealScores, rows: NDArray[np.intp], groups: NDArray[np.intp] | None
) -> Bundle:
    score = real.bundle.manifest.default_score
    drawn = CalibrationRows(
        scores={score: real.scores[rows]},
        predicted=real.predicted[rows],
        labels=real.labels[rows],
        groups=None if groups is None else groups.astype(np.int32),
        attacked={budget: scores[rows] for budget, scores in real.attacked.items()},
    )
    return replace(real.bundle, rows=drawn, calibration=drawn.ordered())
