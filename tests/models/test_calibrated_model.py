import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from oodguard.models.bundle import Bundle
from oodguard.models.calibrated_model import CalibratedModel, RunGraph
from oodguard.models.decision import Policy
from oodguard.models.errors import BundleError, CalibrationError, UnsupportedImage
from tests.conftest import build_bundle

Rows = list[list[float]]

# Calibration is 1 to 400, so that k = floor(401 / 20) = 20 and the threshold is 381.
POLICY = Policy(score="energy", alpha=0.05, delta=None)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return build_bundle(tmp_path / "tiny", height=2, width=3)


def answering(logits: Rows, scores: Rows) -> RunGraph:
    def run(_images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return np.array(logits, np.float32), np.array(scores, np.float32)

    return run


def fail_to_run(_images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    raise NotImplementedError


def blank(n: int) -> NDArray[np.uint8]:
    return np.zeros((n, 2, 3, 3), np.uint8)


def test_verdict_holds_class_confidence_scores_p_value_and_decision(bundle: Bundle) -> None:
    logits = [[0.0, math.log(3), 0.0], [math.log(8), 0.0, 0.0]]
    scores = [[0.25, -1.5, 381.0], [0.5, -2.5, 381.5]]
    seen = []

    def run(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        seen.append(images)
        return np.array(logits, np.float32), np.array(scores, np.float32)

    model = CalibratedModel(bundle, POLICY, run)
    assert model.threshold == 381.0
    images = np.arange(36, dtype=np.uint8).reshape(2, 2, 3, 3)
    verdicts = model.predict(images)
    np.testing.assert_array_equal(seen, [images])
    accepted, rejected = verdicts
    assert (accepted.label, accepted.class_id, accepted.decision) == ("dog", 1, "accept")
    assert accepted.confidence == pytest.approx(3 / 5)
    assert accepted.scores == {"msp": 0.25, "max_logit": -1.5, "energy": 381.0}
    assert accepted.p_value == 21 / 401
    assert (rejected.label, rejected.class_id, rejected.decision) == ("cat", 0, "reject")
    assert rejected.confidence == pytest.approx(8 / 10)
    assert rejected.p_value == 20 / 401
    np.testing.assert_array_equal(verdicts.arrays.logits, np.array(logits, np.float32))
    np.testing.assert_array_equal(verdicts.arrays.scores, np.array(scores, np.float32))
    assert verdicts.arrays.class_ids.dtype == np.int64


def test_decision_is_by_the_score_of_the_policy(bundle: Bundle) -> None:
    run = answering([[0, 0, 1]], [[1000, 1, 1]])
    by_msp = CalibratedModel(bundle, Policy(score="msp"), run).predict(blank(1))
    by_energy = CalibratedModel(bundle, Policy(score="energy"), run).predict(blank(1))
    assert [by_msp[0].decision, by_energy[0].decision] == ["reject", "accept"]


def test_confidence_does_not_overflow_with_large_logits(bundle: Bundle) -> None:
    run = answering([[1e38, 0, 0]], [[0, 0, 0]])
    assert CalibratedModel(bundle, POLICY, run).predict(blank(1))[0].confidence == 1.0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_decision_rejects_nan_and_infinite_scores(bundle: Bundle, value: float) -> None:
    run = answering([[value, 0, 0]], [[value, value, value]])
    (verdict,) = CalibratedModel(bundle, POLICY, run).predict(blank(1))
    assert verdict.decision == "reject"
    assert verdict.p_value == 1 / 401
    assert math.isnan(verdict.confidence)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 3, 2, 3), np.uint8),
        np.zeros((1, 3, 2, 3), np.float32),
        np.zeros((1, 2, 3, 3), np.float32),
        np.zeros((2, 3, 3), np.uint8),
    ],
)
def test_predict_rejects_pixels_of_another_shape_or_type(
    bundle: Bundle, images: NDArray[np.uint8]
) -> None:
    with pytest.raises(UnsupportedImage, match=r"expected uint8 \(n, 2, 3, 3\)"):
        CalibratedModel(bundle, POLICY, fail_to_run).predict(images)


def test_predict_does_not_run_the_graph_for_an_empty_batch(bundle: Bundle) -> None:
    assert list(CalibratedModel(bundle, POLICY, fail_to_run).predict(blank(0))) == []


@pytest.mark.parametrize(
    ("logits", "scores"),
    [
        ([[0, 0, 0, 0]], [[0, 0, 0]]),  # a class too many
        ([[0, 0, 0]], [[0, 0]]),  # a score too few
        ([[0, 0, 0]] * 2, [[0, 0, 0]] * 2),  # an image too many
    ],
)
def test_predict_rejects_outputs_that_contradict_the_manifest(
    bundle: Bundle, logits: Rows, scores: Rows
) -> None:
    with pytest.raises(BundleError, match=r"expected \(\(1, 3\), \(1, 3\)\) by the manifest"):
        CalibratedModel(bundle, POLICY, answering(logits, scores)).predict(blank(1))


def test_unknown_score_is_rejected_with_the_known_ones(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="score is 'knn', expected one of msp, max_logit, energy"):
        CalibratedModel(bundle, Policy(score="knn"), fail_to_run)


def test_calibration_too_small_for_the_policy_is_rejected(tmp_path: Path) -> None:
    small = build_bundle(tmp_path / "small", n_calibration=58)
    with pytest.raises(CalibrationError, match="58 calibration images are too few") as refusal:
        CalibratedModel(small, Policy(score="energy"), fail_to_run)
    assert "expected at least 59" in str(refusal.value)
