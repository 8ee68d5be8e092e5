"""A new calibration compared with the one that it replaces."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy
from oodguard.models.errors import CalibrationError
from oodguard.models.group_calibration import group_threshold, one_per_group
from oodguard.service.recalibration.comparison import compare

POLICY = Policy(score="energy")


def rows(scores: np.ndarray, groups: np.ndarray | None = None) -> CalibrationRows:
    return CalibrationRows(
        scores={"energy": scores.astype(np.float32)},
        groups=None if groups is None else groups.astype(np.int32),
    )


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_comparison_of_like_images_has_no_warning(rng: np.random.Generator) -> None:
    older, newer = rng.normal(size=1000), rng.normal(size=500)
    found = compare(rows(older), rows(newer), POLICY)
    assert found.warnings == ()
    assert found.older is not None
    assert found.older == pytest.approx(np.sort(older)[1000 - 39])
    assert found.older_at_older == pytest.approx(0.038)
    assert found.newer_at_older == pytest.approx((newer > found.older).mean())
    assert found.older_at_newer == pytest.approx((older > found.newer).mean())
    assert found.newer_at_newer <= 0.05


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (lambda s: np.concatenate([s[10:], s[:10] + 9]), "outliers may be among them"),  # 1 %
        (lambda s: np.concatenate([s[50:], s[:50] + 9]), "outliers may be among them"),  # 5 %
        (lambda s: s + 0.3, "most of them higher: the camera or the scene differs"),
        (lambda s: s - 0.3, "most of them lower: images that the model was trained on"),
        (lambda s: s[s < 1.6], "rejects none of the"),
    ],
)
def test_comparison_warns_of_unlike_images(
    rng: np.random.Generator, change: object, warning: str
) -> None:
    assert callable(change)
    older, newer = rng.normal(size=1000), change(rng.normal(size=1000))
    found = compare(rows(older), rows(newer), POLICY)
    assert any(warning in each for each in found.warnings), found.warnings


def test_comparison_counts_groups_and_not_their_images(rng: np.random.Generator) -> None:
    films = rng.normal(size=(80, 1)) + 0.01 * rng.normal(size=(80, 25))
    older = rows(rng.normal(size=1000))
    groups = np.repeat(np.arange(80), 25)
    assert compare(older, rows(films.ravel(), groups), POLICY).warnings == ()
    assert compare(older, rows(films.ravel()), POLICY).warnings != ()


@pytest.mark.parametrize("outliers", [5, 25])
def test_threshold_without_planted_outliers_is_within_the_stated_bound(
    rng: np.random.Generator, outliers: int
) -> None:
    clean = rng.normal(size=500 - outliers)
    found = compare(
        rows(rng.normal(size=1000)), rows(np.concatenate([clean, np.full(outliers, 9)])), POLICY
    )
    expected = compare(rows(rng.normal(size=1000)), rows(clean), POLICY).newer
    lowest = found.lowest[outliers / 500]
    assert lowest is not None
    assert lowest <= expected <= found.newer


def test_comparison_without_an_older_threshold_or_enough_images(rng: np.random.Generator) -> None:
    few, many = rows(rng.normal(size=30)), rows(rng.normal(size=300))
    assert compare(few, many, POLICY).older is None
    with pytest.raises(CalibrationError, match="30 calibration images are too few"):
        compare(many, few, POLICY)
    assert compare(many, rows(rng.normal(size=60)), POLICY).lowest[0.05] is None


@pytest.mark.parametrize("delta", [None, 0.2])
def test_threshold_without_outlier_groups_is_a_bound_for_every_choice_of_them(
    rng: np.random.Generator, delta: float | None
) -> None:
    """Leave out each pair of 40 groups, and compute the threshold of the others."""
    groups = np.sort(rng.integers(0, 40, 200))
    found = rows(rng.normal(size=200) + rng.normal(size=40)[groups], groups)
    policy = replace(POLICY, alpha=0.2, delta=delta)
    lowest = compare(found, found, policy).lowest[0.05]
    assert lowest is not None
    represented = np.arange(200) if delta is None else one_per_group(groups)
    thresholds = []
    for pair in combinations(range(40), 2):
        kept = represented[~np.isin(groups[represented], pair)]
        others = np.unique(groups[kept], return_inverse=True)[1]
        scores = found.scores[POLICY.score][kept]
        thresholds.append(group_threshold(scores, others, alpha=0.2, delta=delta))
    assert lowest <= min(thresholds)
    # The bound is tight where each group has one image.
    assert delta is None or lowest == min(thresholds)


@pytest.mark.parametrize(("frames", "is_seen"), [(12, True), (2, False)])
def test_comparison_of_accepted_groups_sees_that_the_rejected_images_are_left_out(
    rng: np.random.Generator, frames: int, is_seen: bool
) -> None:
    """Four in ten older films have a rejected image. One image of each of 60 films is too few."""
    films = np.repeat(np.arange(400), 12)
    older = rows(rng.normal(size=len(films)), films)
    groups = np.repeat(np.arange(60), frames)
    threshold = compare(older, older, POLICY).newer
    accepted = np.minimum(rng.normal(size=len(groups)), threshold)
    found = compare(older, rows(accepted, groups), POLICY)
    expected = f"rejects none of the {len(groups):,} images"
    assert any(expected in each for each in found.warnings) == is_seen
    # With rejected images in place there is no warning.
    usual = compare(older, rows(rng.normal(size=len(films)), films), POLICY)
    assert not any("rejects none" in each for each in usual.warnings)
