"""The thresholds of each promise, their p-values, and what a bundle must have for them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crepes import ConformalClassifier
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.class_rejections import class_rejections
from oodguard.models.decision import Policy
from oodguard.models.errors import BundleError, CalibrationError
from oodguard.models.policy_thresholds import limitations, policy_thresholds
from oodguard.models.thresholds import ClassThresholds, PoolThresholds, ranked_limit
from tests.models.policy_rows import PREDICTED, SCORES, N, bundle

TIED = st.lists(st.integers(0, 6), min_size=30, max_size=60)


def test_policy_by_class_uses_the_calibration_of_the_predicted_class(tmp_path: Path) -> None:
    policy = Policy(score="msp", alpha=0.05, delta=None, by_class=True)
    found = policy_thresholds(bundle(tmp_path), policy)
    assert isinstance(found, ClassThresholds)
    # Class 0 has 195 scores 1, 3, ... 389: floor(0.05 * 196) = 9, the 9th largest is 373.
    assert [each and each.threshold for each in found.own] == [373, 374, None]
    assert found.single is None
    # Class 2 has too few images: its threshold is the 20th largest of all 400.
    scores = np.array([373, 374, 374, 375, 381, 382], np.float32)
    classes = np.array([0, 0, 1, 1, 2, 2])
    assert found.rejects(scores, classes).tolist() == [False, True, False, True, False, True]
    # That of class 2 is no promise.
    assert found.broken_promises(scores, classes).tolist() == [
        False,
        True,
        False,
        True,
        False,
        False,
    ]
    assert found.level == max(9 / 196, 20 / 401)


@given(
    scores=TIED,
    data=st.data(),
    alpha=st.floats(0.05, 0.6),
    delta=st.none() | st.floats(0.05, 0.6),
)
def test_decision_by_class_is_equivalent_to_the_p_value_rule_of_the_class(
    scores: list[int], data: st.DataObject, alpha: float, delta: float | None
) -> None:
    classes = data.draw(st.lists(st.integers(0, 2), min_size=len(scores), max_size=len(scores)))
    values, members = np.array(scores, np.float32), np.array(classes)
    own = []
    for each in range(3):
        of_class = np.sort(values[members == each])
        rank = int(alpha * (len(of_class) + 1)) if delta is None else min(3, len(of_class))
        own.append(ranked_limit(of_class, rank) if rank else None)
    pool = ranked_limit(values, 2)
    found = ClassThresholds(pool, own)
    seen = np.tile(np.array([*range(-1, 8), 2.5, np.nan], np.float32), 3)
    of_seen = np.repeat([0, 1, 2], 11)
    levels = np.array([(each or pool).level for each in own])[of_seen]
    by_p_value = found.p_values(seen, of_seen) <= levels
    np.testing.assert_array_equal(found.rejects(seen, of_seen), by_p_value)


def test_p_values_by_class_are_those_of_crepes() -> None:
    """Mondrian p-values of the library crepes, whose order of ties is not random here."""
    rng = np.random.default_rng(3)
    scores, classes = rng.normal(size=300).astype(np.float32), rng.integers(0, 3, 300)
    own = [ranked_limit(scores[classes == each], 1) for each in range(3)]
    thresholds = ClassThresholds(ranked_limit(scores, 1), own)
    seen, of_seen = rng.normal(size=50).astype(np.float32), rng.integers(0, 3, 50)
    classifier = ConformalClassifier().fit(scores, bins=classes)
    expected = classifier.predict_p(seen[:, None], bins=of_seen, smoothing=False)[:, 0]
    np.testing.assert_allclose(thresholds.p_values(seen, of_seen), expected)
    assert thresholds.n == np.bincount(classes).max()


def test_policy_under_attack_uses_the_scores_of_attacked_images(tmp_path: Path) -> None:
    attacked = SCORES + 100
    attacked[::2] = np.nan  # half of the images were attacked
    made = bundle(tmp_path, attacked={2: attacked, 8: attacked + 1})
    found = policy_thresholds(made, Policy(score="msp", delta=None, under_attack=2))
    assert isinstance(found, PoolThresholds)
    # Of the 200 scores 102, 104, ... 500, the floor(0.05 * 201) = 10th largest is 482.
    assert found.single == 482
    assert len(found.pool.calibration) == found.n == 200
    assert found.p_values(np.array([483.0]), np.array([0])).tolist() == [10 / 201]


def test_class_rejections_count_the_calibration_images_of_each_class(tmp_path: Path) -> None:
    made = bundle(tmp_path)
    common = policy_thresholds(made, Policy(score="msp", delta=None))
    own = policy_thresholds(made, Policy(score="msp", delta=None, by_class=True))
    names = ("a", "b", "c")
    found = [
        [
            (each.label, each.images, each.rejected, each.common)
            for each in class_rejections(made.rows, thresholds, score="msp", classes=names)
        ]
        for thresholds in (common, own)
    ]
    # The common threshold 381 rejects 383, 385, ... 389 of a, and all of c, which are 391 to 400.
    assert found[0] == [("a", 195, 4, True), ("b", 195, 5, True), ("c", 10, 10, True)]
    assert found[1] == [("a", 195, 8, False), ("b", 195, 8, False), ("c", 10, 10, True)]
    without = CalibrationRows(scores=made.rows.scores)
    assert class_rejections(without, common, score="msp", classes=names) == []


def test_limitations_name_the_classes_with_the_common_threshold(tmp_path: Path) -> None:
    made = bundle(tmp_path)
    thresholds = policy_thresholds(made, Policy(score="msp", by_class=True))
    assert limitations(thresholds, ("a", "b", "c")) == [
        "1 of 3 classes has too few calibration images, expected at least 59 of each, and uses the"
        " common threshold, so the policy does not hold for it: c (10)"
    ]
    assert limitations(policy_thresholds(made, Policy(score="msp")), ("a", "b", "c")) == []


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (
            [1],
            "beta holds at no threshold for 1 of 3 classes, because its calibration images with the"
            " lowest scores are predicted wrongly. It uses the common threshold, so the policy does"
            " not hold for it: b",
        ),
        (
            [0, 1],
            "beta holds at no threshold for 2 of 3 classes, because their calibration images with"
            " the lowest scores are predicted wrongly. They use the common threshold, so the policy"
            " does not hold for them: a, b",
        ),
    ],
)
def test_limitations_name_the_classes_for_which_beta_holds_at_no_threshold(
    tmp_path: Path, wrong: list[int], text: str
) -> None:
    """Of 195 images, beta allows no error: P(Binomial(195, .02) <= 1) = .097 is above delta."""
    labels = PREDICTED.copy()
    labels[wrong] = 2  # the images with the lowest scores of their classes
    made = bundle(tmp_path, labels=labels)
    policy = Policy(score="msp", alpha=None, beta=0.02, by_class=True)
    assert limitations(policy_thresholds(made, policy), ("a", "b", "c")) == [
        "1 of 3 classes has too few calibration images, expected at least 149 of each, and uses the"
        " common threshold, so the policy does not hold for it: c (10)",
        text,
    ]


LABELS = np.zeros(N, np.int32)


@pytest.mark.parametrize(
    ("rows", "policy", "message"),
    [
        ({"predicted": None}, {"by_class": True}, "by_class is true, but the bundle has no pred"),
        ({}, {"beta": 0.1}, "beta is 0.1, but the bundle has no labels of its calibration images"),
        (
            {"predicted": None, "labels": LABELS},
            {"beta": 0.1},
            "beta is 0.1, but the bundle has no predicted classes",
        ),
        ({}, {"under_attack": 2}, "Add them with `oodguard-train attack BUNDLE`"),
        (
            {"attacked": {1: SCORES, 8: SCORES}},
            {"under_attack": 2},
            "under_attack is 2, expected one of the budgets at which the calibration images were"
            " attacked, in 255ths: 1, 8",
        ),
        (
            {"attacked": {2: SCORES}},
            {"under_attack": 2, "score": "energy"},
            "the score is 'energy' and under_attack is 2, expected the score 'msp'",
        ),
        ({}, {"score": "knn"}, "the score is 'knn', expected one of msp, energy"),
    ],
)
def test_policy_that_needs_what_a_bundle_lacks_is_refused(
    tmp_path: Path,
    rows: Mapping[str, NDArray[np.generic]],
    policy: Mapping[str, Any],
    message: str,
) -> None:
    with pytest.raises(BundleError) as caught:
        policy_thresholds(bundle(tmp_path, **rows), Policy(**{"score": "msp", **policy}))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"alpha": None}, "alpha is none and beta is none, expected a rate"),
        ({"alpha": 1.1}, "alpha is 1.1, expected a value above 0 and below 1"),
        ({"beta": 0.0}, "beta is 0.0, expected a value above 0 and below 1"),
        (
            {"by_class": True, "under_attack": 2},
            "by_class is true and under_attack is 2, expected one of them",
        ),
        (
            {"alpha": None, "beta": 0.1, "under_attack": 2},
            "under_attack is 2 and alpha is none, expected alpha too",
        ),
    ],
)
def test_policy_of_promises_that_exclude_each_other_is_refused(
    policy: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(CalibrationError) as caught:
        Policy(score="msp", **policy)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"alpha": 0.001}, "alpha 0.001 with delta 0.05, expected at least 2995"),
        ({"alpha": 0.001, "by_class": True}, "expected at least 2995"),
        ({"beta": 0.001}, "beta 0.001 with delta 0.05, expected at least 2995"),
        ({"alpha": 0.001, "under_attack": 2}, "200 calibration images are too few"),
    ],
)
def test_policy_with_too_few_images_is_refused_with_the_number_that_is_needed(
    tmp_path: Path, policy: Mapping[str, Any], message: str
) -> None:
    attacked = SCORES.copy()
    attacked[::2] = np.nan
    made = bundle(tmp_path, labels=LABELS, attacked={2: attacked})
    with pytest.raises(CalibrationError) as caught:
        policy_thresholds(made, Policy(score="msp", **policy))
    assert message in str(caught.value)


def test_policy_of_a_constant_score_is_refused(tmp_path: Path) -> None:
    made = bundle(tmp_path, scores={"msp": np.full(N, 0.25, np.float32)})
    with pytest.raises(
        CalibrationError, match=r"400 calibration images all have the msp score 0\.25"
    ):
        policy_thresholds(made, Policy(score="msp"))


def test_limitations_name_the_beta_of_all_classes_in_one_text(tmp_path: Path) -> None:
    labels = PREDICTED.copy()
    labels[PREDICTED == 0] = np.where(np.arange(np.count_nonzero(PREDICTED == 0)) % 2, 0, 1)
    labels[PREDICTED == 1] = np.where(np.arange(np.count_nonzero(PREDICTED == 1)) % 4, 1, 0)
    made = bundle(tmp_path, labels=labels)
    thresholds = policy_thresholds(made, Policy(score="msp", by_class=True, delta=None, beta=0.1))
    assert isinstance(thresholds, ClassThresholds)
    unkept = [each.unkept_beta for each in thresholds.own if each and each.unkept_beta]
    assert len(unkept) == 2
    (text,) = [each for each in limitations(thresholds, ("a", "b", "c")) if each.startswith("beta")]
    assert text.startswith("beta 0.1 does not hold with alpha for 2 of 3 classes.")
    assert re.search(r": a [0-9.]+ \([0-9.]+\), b [0-9.]+ \([0-9.]+\)$", text)
    # The beta that holds in every class is that of the class with the most errors.
    assert thresholds.unkept_beta is unkept[0]
    assert unkept[0].reachable_beta > unkept[1].reachable_beta
