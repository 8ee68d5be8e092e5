"""With OODGUARD_DETAIL=verdict nothing is said by which an attacker could climb."""

import json

import pytest
from starlette.testclient import TestClient

from oodguard.service.api.schemas import BareAnswer, BarePolicy, ModelsAnswer
from oodguard.service.responses import COARSE_P_VALUES, coarse_p_value
from tests.service.conftest import MakeClient
from tests.service.pictures import BLACK, GREEN, WHITE, encode, plain


@pytest.fixture
def terse(make_client: MakeClient) -> TestClient:
    return make_client(detail="verdict")


def test_a_verdict_has_label_class_decision_and_a_coarse_p_value_alone(terse: TestClient) -> None:
    # Calibration scores are 1 to 250: brightness 85 has p = 167 / 251, and 255 has 1 / 251.
    files = [("files", encode(plain(colour))) for colour in (GREEN, WHITE)]
    answer = terse.post("/predict", files=files).json()
    assert answer["predictions"] == [
        {"label": "green", "class_id": 1, "p_value": 1.0, "decision": "accept"},
        {"label": "red", "class_id": 0, "p_value": 0.05, "decision": "reject"},
    ]
    assert answer["policy"] == {"score": "brightness", "alpha": 0.05, "delta": 0.05}
    BareAnswer.model_validate(answer)


def test_models_do_not_tell_the_threshold(terse: TestClient) -> None:
    text = terse.get("/models").text
    assert "threshold" not in text
    (model,) = ModelsAnswer.model_validate_json(text).models
    assert type(model.policy) is BarePolicy


def test_full_detail_is_what_is_told_otherwise(client: TestClient) -> None:
    answer = client.post("/predict", files={"files": encode(plain(BLACK))}).json()
    assert set(answer["predictions"][0]) >= {"confidence", "scores"}
    assert "threshold" in answer["policy"]
    assert "threshold" in client.get("/models").json()["models"][0]["policy"]


def test_the_description_is_of_the_answers_that_are_given(
    terse: TestClient, client: TestClient
) -> None:
    shapes = []
    for each in (client, terse):
        post = each.get("/openapi.json").json()["paths"]["/predict"]["post"]
        shapes.append(json.dumps(post["responses"]["200"]))
    assert "/PredictAnswer" in shapes[0]
    assert "/BareAnswer" in shapes[1]


@pytest.mark.parametrize(
    ("p_value", "alpha", "told"),
    [
        (0.001, 0.05, 0.05),
        (0.05, 0.05, 0.05),
        (0.0501, 0.05, 0.1),
        (0.3, 0.05, 0.5),
        (1.0, 0.05, 1.0),
        (0.001, 0.01, 0.05),
        (0.001, 0.2, 0.25),
        (0.06, 0.2, 0.25),
        (0.001, 0.9, 1.0),
    ],
)
def test_a_coarse_p_value_is_the_next_level_above_p_and_alpha(
    p_value: float, alpha: float, told: float
) -> None:
    assert coarse_p_value(p_value, alpha) == told


@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.07, 0.25, 0.6])
def test_no_two_rejected_images_are_told_apart_and_the_coarse_value_is_still_a_p_value(
    alpha: float,
) -> None:
    n = 1000
    p_values = [rank / n for rank in range(1, n + 1)]
    assert len({coarse_p_value(p, alpha) for p in p_values if p <= alpha}) == 1
    # Uniform p-values: as many as t of them may be told as t or below.
    told = [coarse_p_value(p, alpha) for p in p_values]
    for level in COARSE_P_VALUES:
        assert sum(each <= level for each in told) / n <= level
