"""Promises for an image of a new group."""

import numpy as np
import pytest

from oodguard.models.calibration import p_values, rejection_rank
from oodguard.models.decision import rejects
from oodguard.models.errors import CalibrationError
from oodguard.models.group_calibration import (
    group_p_values,
    group_reference,
    group_threshold,
    one_per_group,
)

ALPHA = DELTA = 0.1


def films(rng: np.random.Generator, number: int, frames: int = 20) -> np.ndarray:
    """Return scores `(number, frames)`: the frames of a film resemble each other."""
    return rng.normal(size=(number, 1)) + 0.2 * rng.normal(size=(number, frames))


def test_group_weights_by_hand() -> None:
    # Two groups: {1, 3} with weights 1/2, and {2} with weight 1; p = (1 + weight) / 3.
    scores, groups = np.array([1, 2, 3], np.float32), np.array([0, 1, 0])
    found = group_p_values(np.array([0.5, 1.5, 2.5, 3.5]), scores, groups, delta=None)
    assert found.tolist() == pytest.approx([3 / 3, 2.5 / 3, 1.5 / 3, 1 / 3])


@pytest.mark.parametrize(("alpha", "threshold"), [(1 / 3, 3), (0.5, 2), (0.8, 2), (0.9, 1)])
def test_group_threshold_on_average_by_hand(alpha: float, threshold: float) -> None:
    # (1 + weight above t) / 3 is 1/3 for t = 3, 1.5/3 for t = 2, and 2.5/3 for t = 1.
    scores, groups = np.array([1, 2, 3], np.float32), np.array([0, 1, 0])
    assert group_threshold(scores, groups, alpha=round(alpha, 9) + 1e-9, delta=None) == threshold


@pytest.mark.parametrize("delta", [None, DELTA])
def test_groups_of_one_image_are_calibrated_as_independent_images(delta: float | None) -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=200).astype(np.float32).round(1)  # with ties
    groups, ordered = rng.permutation(200), np.sort(scores)
    rank = rejection_rank(200, alpha=ALPHA, delta=delta)
    assert group_threshold(scores, groups, alpha=ALPHA, delta=delta) == ordered[200 - rank]
    found = group_p_values(scores, scores, groups, delta=delta)
    assert found.tolist() == p_values(scores, ordered).tolist()


@pytest.mark.parametrize("delta", [None, DELTA])
def test_group_p_values_agree_with_the_threshold(delta: float | None) -> None:
    rng = np.random.default_rng(1)
    groups = np.sort(rng.integers(60, size=400))
    groups = np.unique(groups, return_inverse=True)[1]
    scores = rng.normal(size=400).astype(np.float32).round(1)
    new = np.concatenate([scores, rng.normal(size=1000).astype(np.float32), [np.nan, np.inf]])
    n = groups.max() + 1
    cut = ALPHA if delta is None else rejection_rank(n, alpha=ALPHA, delta=delta) / (n + 1)
    threshold = group_threshold(scores, groups, alpha=ALPHA, delta=delta)
    found = group_p_values(new, scores, groups, delta=delta)
    assert (rejects(new, threshold) == (found <= cut)).all()
    assert group_reference(scores, groups, delta=delta).groups == n


def test_group_p_values_are_fractions_of_the_groups() -> None:
    """10 groups of 3 and 9 of 11 images: in binary, the sum of their weights is above 19."""
    groups = np.concatenate([np.repeat(np.arange(10), 3), np.repeat(np.arange(10, 19), 11)])
    scores = np.random.default_rng(0).permutation(len(groups)).astype(np.float32)
    found = group_p_values(np.array([-1.0, 1e6]), scores, groups, delta=None)
    assert found.tolist() == [1, 1 / 20]


def test_one_image_of_each_group_is_drawn_by_a_fixed_seed() -> None:
    groups = np.repeat(np.arange(50), 8)
    rows = one_per_group(groups)
    assert groups[rows].tolist() == list(range(50))
    assert rows.tolist() == one_per_group(groups).tolist()
    assert len(set(rows % 8)) == 8  # not the first frame of every film


def test_group_promises_hold_for_films_and_the_promise_for_images_does_not() -> None:
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(60), 20)
    rates: dict[str, list[float]] = {"images": [], "groups": [], "average": []}
    for _ in range(300):
        scores, new = films(rng, 60), films(rng, 400).ravel()
        rank = rejection_rank(scores.size, alpha=ALPHA, delta=DELTA)
        thresholds = {
            "images": np.sort(scores.ravel())[scores.size - rank],
            "groups": group_threshold(scores.ravel(), groups, alpha=ALPHA, delta=DELTA),
            "average": group_threshold(scores.ravel(), groups, alpha=ALPHA, delta=None),
        }
        for name, each in thresholds.items():
            rates[name].append(float(rejects(new, each).mean()))
    broken = {name: float(np.mean(np.array(each) > ALPHA)) for name, each in rates.items()}
    assert broken["images"] > 2 * DELTA
    assert broken["groups"] < DELTA + 0.05  # 300 draws: the error is 0.017
    assert np.mean(rates["average"]) < ALPHA


@pytest.mark.parametrize(
    ("delta", "required", "text"), [(None, 9, "0.1"), (0.1, 22, "0.1 with delta 0.1")]
)
def test_too_few_groups_are_refused_with_the_required_number(
    delta: float | None, required: int, text: str
) -> None:
    scores = np.arange(1000, dtype=np.float32)
    enough = np.arange(1000) % required
    group_threshold(scores, enough, alpha=ALPHA, delta=delta)
    with pytest.raises(CalibrationError) as error:
        group_threshold(scores, np.minimum(enough, required - 2), alpha=ALPHA, delta=delta)
    assert str(error.value) == (
        f"{required - 1} calibration groups are too few for alpha {text}, expected at least"
        f" {required}: images of one group count as one. Calibrate with more groups, or set a"
        " larger alpha or delta"
    )
