"""Policies by class, under attack and with beta: responses, GET /models, metrics and drift."""

import logging
import math
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.service.api.schemas import ModelsResponse, PredictResponse
from tests.conftest import rows_bundle
from tests.service.checks import metric
from tests.service.conftest import MakeClient
from tests.service.graphs import CLASSES, SIZE, graph
from tests.service.pictures import encode, plain

# Scores 1, 2, ... 250: the first hundred are red, the next green, the last fifty blue.
SCORES = np.arange(1, 251, dtype=np.float32)
PREDICTED = np.repeat([0, 1, 2], [100, 100, 50]).astype(np.int32)

DARK_RED, DARK_GREEN, PALE = (255, 30, 15), (30, 255, 15), (240, 250, 245)
"""Brightness 100, 100 and 245; the strongest channel is the predicted class."""


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    labels = PREDICTED.copy()
    labels[::10] = (labels[::10] + 1) % 3  # 25 errors: the scores 1, 11, ... 241
    rows = CalibrationRows(
        scores={"brightness": SCORES, "darkness": -SCORES},
        predicted=PREDICTED,
        labels=labels,
        attacked={2: SCORES + 50, 8: SCORES + 60},
    )
    folder = tmp_path / "labelled"
    rows_bundle(folder, rows, classes=CLASSES, height=SIZE, width=SIZE, model=graph())
    return folder


def predict(client: TestClient, *colours: tuple[int, int, int]) -> PredictResponse:
    files = [("files", ("a.png", encode(plain(each)))) for each in colours]
    return PredictResponse.model_validate_json(client.post("/predict", files=files).content)


def test_policy_by_class_decides_by_the_predicted_class(
    make_client: MakeClient, labelled: Path
) -> None:
    client = make_client(bundle=labelled, delta=None, by_class=True)
    answer = predict(client, DARK_RED, DARK_GREEN)
    # floor(0.05 * 101) = 5 for red and green: 96 and 196. floor(0.05 * 51) = 2 for blue: 249.
    assert [each.decision for each in answer.predictions] == ["reject", "accept"]
    assert [each.p_value for each in answer.predictions] == [2 / 101, 1.0]
    assert answer.policy.model_dump(exclude_unset=True) == {
        "score": "brightness",
        "alpha": 0.05,
        "delta": None,
        "by_class": True,
        "threshold": None,
    }
    (model,) = ModelsResponse.model_validate_json(client.get("/models").content).models
    found = [(each.label, each.images, each.threshold, each.common) for each in model.by_class]
    assert found == [
        ("red", 100, 96, False),
        ("green", 100, 196, False),
        ("blue", 50, 249, False),
    ]
    assert model.limitations == []
    text = client.get("/metrics").text
    assert math.isnan(metric(text, "oodguard_threshold", model="tiny"))
    assert metric(text, "oodguard_decisions_total", decision="reject") == 1


def test_policy_by_class_warns_at_start_of_classes_with_too_few_images(
    make_client: MakeClient, labelled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        client = make_client(bundle=labelled, by_class=True)
    (record,) = [each for each in caplog.records if "does not hold in full" in each.message]
    limitation = record.__dict__["fields"]["limitation"]
    assert limitation.endswith("so the policy does not hold for it: blue (50)")
    (model,) = client.get("/models").json()["models"]
    assert model["limitations"] == [limitation]
    # Blue has 50 images, and 59 are needed: the common threshold is the 7th largest of 250.
    assert [each["threshold"] for each in model["by_class"]] == [99, 199, 244]
    (summary,) = client.app.state.summary["models"]  # type: ignore[attr-defined]
    assert (summary["by_class"], summary["limitations"]) == (True, [limitation])


def test_policy_under_attack_names_the_attack(make_client: MakeClient, labelled: Path) -> None:
    client = make_client(bundle=labelled, under_attack=2)
    answer = predict(client, PALE)
    assert answer.policy.model_dump(exclude_unset=True) == {
        "score": "brightness",
        "alpha": 0.05,
        "delta": 0.05,
        "under_attack": 2,
        "attack": "APGD, 20 steps",
        "threshold": 294,
    }
    # 245 is above 244, the 7th largest of the clean images, but of the attacked 56 are as high.
    assert answer.predictions[0].decision == "accept"
    assert answer.predictions[0].p_value == 57 / 251


def test_policy_with_beta_alone_sets_the_threshold(make_client: MakeClient, labelled: Path) -> None:
    client = make_client(bundle=labelled, alpha=None, delta=None, beta=0.05)
    # floor(0.05 * 251) = 12: the 12th of the errors 1, 11, ... is 111, and must be rejected.
    answer = predict(client, PALE)
    assert (answer.policy.alpha, answer.policy.beta) == (None, 0.05)
    assert answer.policy.threshold == 110
    assert math.isnan(metric(client.get("/metrics").text, "oodguard_alpha", model="tiny"))
    coarse = make_client(bundle=labelled, alpha=None, delta=None, beta=0.05, detail="verdict")
    (verdict,) = coarse.post("/predict", files={"files": encode(plain(PALE))}).json()["predictions"]
    # All rejected images have the same value: 141 / 251 rounded up.
    assert (verdict["decision"], verdict["p_value"]) == ("reject", 1.0)


def test_policy_with_alpha_and_beta_states_which_one_does_not_hold(
    make_client: MakeClient, labelled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        client = make_client(bundle=labelled, beta=0.05)
    (record,) = [each for each in caplog.records if "does not hold in full" in each.message]
    assert record.__dict__["fields"]["limitation"].startswith(
        "beta 0.05 does not hold with alpha: at "
    )
    policy = predict(client, PALE).policy
    assert (policy.threshold, policy.beta) == (244, 0.05)
    # All 25 errors of 250 are accepted: the 95 % upper limit of Clopper and Pearson.
    assert policy.reachable_beta == pytest.approx(0.137, abs=0.001)
