"""Policies of bundles with groups, and the alpha from which beta holds."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy, rejects
from oodguard.models.errors import CalibrationError
from oodguard.models.group_calibration import group_p_values, group_threshold
from oodguard.models.policy_thresholds import limitations, policy_thresholds
from oodguard.models.thresholds import ClassThresholds
from tests.models.policy_rows import PREDICTED, SCORES, N, bundle


def test_policy_with_groups_counts_groups(tmp_path: Path) -> None:
    """The group functions have tests of their own; here 100 groups of four images each."""
    groups = (np.arange(N) // 4).astype(np.int32)
    made = bundle(tmp_path, groups=groups, labels=PREDICTED)
    for delta in (None, 0.05):
        thresholds = policy_thresholds(made, Policy(score="msp", delta=delta))
        assert thresholds.n == 100
        found = thresholds.pool
        assert found.threshold == group_threshold(SCORES, groups, alpha=0.05, delta=delta)
        assert len(found.calibration) == 100
        seen = np.arange(300, 402, dtype=np.float32)
        expected = group_p_values(seen, SCORES, groups, delta=delta)
        np.testing.assert_array_equal(found.p_values(seen), expected)
        np.testing.assert_array_equal(rejects(seen, found.threshold), expected <= found.level)
        by_class = policy_thresholds(made, Policy(score="msp", delta=delta, by_class=True))
        assert isinstance(by_class, ClassThresholds)
        # One image of each group is drawn over all classes.
        assert by_class.counts is not None
        assert sum(by_class.counts.found) == 100
        assert [len(each.calibration) for each in by_class.own if each] == [
            count for count in by_class.counts.found if count >= by_class.counts.required
        ]
        assert by_class.pool.threshold == found.threshold
        # A beta that holds does not change the threshold of alpha.
        both = policy_thresholds(made, Policy(score="msp", delta=delta, beta=0.3))
        assert (both.single, both.unkept_beta) == (found.threshold, None)
    with pytest.raises(CalibrationError, match=r"100 .* groups are too few for beta 0\.02"):
        policy_thresholds(made, Policy(score="msp", beta=0.02))


@pytest.mark.parametrize("delta", [None, 0.1])
def test_policy_by_class_holds_for_an_image_of_a_new_film_that_shows_several_classes(
    tmp_path: Path, delta: float | None
) -> None:
    """One film in ten shows the class 0 only, with high scores, the others in one of 8 images."""
    films, frames, alpha, draws = 600, 8, 0.1, 100
    groups = np.repeat(np.arange(films), frames).astype(np.int32)
    place = np.tile(np.arange(frames), films)
    policy = Policy(score="msp", alpha=alpha, delta=delta, by_class=True)
    rng = np.random.default_rng(5)
    made = bundle(tmp_path)
    rates = []
    for _ in range(draws):
        is_high = (rng.random(films) < 0.1)[groups]
        predicted = np.where(is_high | (place == 0), 0, 1).astype(np.int32)
        common = rng.normal(size=films)[groups] * 3
        scores = (common + rng.normal(size=len(groups)) + 9 * is_high).astype(np.float32)
        both = {"msp": scores, "energy": scores}
        rows = CalibrationRows(scores=both, predicted=predicted, groups=groups)
        found = policy_thresholds(replace(made, rows=rows), policy)
        assert isinstance(found, ClassThresholds)
        limits = [each.threshold for each in found.own if each]
        # An image of a new film: the sum of both parts has the standard deviation of 10, and of
        # the images of class 0, .1 of .1 + .9 / 8 are of the film with high scores.
        high = 0.1 / (0.1 + 0.9 / frames)
        low = norm.sf(limits, scale=10**0.5)
        rates.append([high * norm.sf(limits[0] - 9, scale=10**0.5) + (1 - high) * low[0], low[1]])
    if delta is None:
        # The mean over the draws is at most alpha, within three standard errors.
        error = np.std(rates, axis=0) / draws**0.5
        assert (np.mean(rates, axis=0) <= alpha + 3 * error).all()
        assert (np.mean(rates, axis=0) > alpha / 2).all()
    else:
        broken = np.mean(np.array(rates) > alpha, axis=0)
        assert (broken <= delta + 3 * (delta * (1 - delta) / draws) ** 0.5).all()
        assert (broken > 0).any()


@pytest.mark.parametrize("delta", [None, 0.05])
def test_unkept_beta_holds_from_the_stated_alpha_with_groups(
    tmp_path: Path, delta: float | None
) -> None:
    rng = np.random.default_rng(1)
    groups = np.sort(rng.integers(0, 200, N)).astype(np.int32)
    labels = np.where(rng.random(N) < SCORES / 1000, 1 - PREDICTED % 2, PREDICTED).astype(np.int32)
    made = bundle(tmp_path, groups=groups, labels=labels)
    found = 0
    for beta in (0.05, 0.1, 0.15):
        policy = Policy(score="msp", alpha=0.05, delta=delta, beta=beta)
        unkept = policy_thresholds(made, policy).unkept_beta
        if unkept is None or unkept.required_alpha is None:
            continue
        found += 1
        alpha = np.ceil(unkept.required_alpha * 1e4) / 1e4
        assert policy_thresholds(made, replace(policy, alpha=alpha)).unkept_beta is None
        below = policy_thresholds(made, replace(policy, alpha=unkept.required_alpha - 0.006))
        assert below.unkept_beta is not None
    assert found


@pytest.mark.parametrize("is_grouped", [False, True])
@pytest.mark.parametrize("delta", [None, 0.05])
def test_unkept_beta_holds_from_the_stated_alpha_under_attack(
    tmp_path: Path, delta: float | None, *, is_grouped: bool
) -> None:
    """The threshold is that of the attacked scores, and beta is that of the clean ones."""
    rng = np.random.default_rng(2)
    labels = np.where(rng.random(N) < SCORES / 900, 1 - PREDICTED % 2, PREDICTED).astype(np.int32)
    attacked = np.where(rng.random(N) < 0.5, SCORES + 60, np.nan).astype(np.float32)
    groups = {"groups": (np.arange(N) // 2).astype(np.int32)} if is_grouped else {}
    made = bundle(tmp_path, labels=labels, attacked={2: attacked}, **groups)
    policy = Policy(score="msp", alpha=0.05, delta=delta, under_attack=2, beta=0.2)
    unkept = policy_thresholds(made, policy).unkept_beta
    assert unkept is not None
    assert unkept.required_alpha is not None
    alpha = np.ceil(unkept.required_alpha * 1e4) / 1e4
    assert policy_thresholds(made, replace(policy, alpha=alpha)).unkept_beta is None
    below = policy_thresholds(made, replace(policy, alpha=unkept.required_alpha - 0.02))
    assert below.unkept_beta is not None


def test_policy_under_attack_counts_all_groups_for_beta(tmp_path: Path) -> None:
    """Beta is for images that are not attacked."""
    groups = (np.arange(N) // 2).astype(np.int32)
    attacked = np.where(groups < 60, SCORES + 100, np.nan).astype(np.float32)
    made = bundle(tmp_path, groups=groups, labels=PREDICTED, attacked={2: attacked})
    policy = Policy(score="msp", alpha=0.1, delta=0.05, under_attack=2, beta=0.02)
    assert policy_thresholds(made, policy).n == 60  # beta needs 149 groups, and there are 200


def test_limitations_count_the_groups_of_a_class_and_not_their_images(tmp_path: Path) -> None:
    groups = (np.arange(N) // 4).astype(np.int32)
    made = bundle(tmp_path, groups=groups)
    (text,) = limitations(
        policy_thresholds(made, Policy(score="msp", by_class=True)), ("a", "b", "c")
    )
    assert text.startswith(
        "3 of 3 classes have too few calibration images, of which one is drawn from each group,"
        " expected at least 59 of each, and use the common threshold"
    )
    counts = [int(each) for each in re.findall(r"\((\d+)\)", text)]
    assert len(counts) == 3
    assert sum(counts) == 100
