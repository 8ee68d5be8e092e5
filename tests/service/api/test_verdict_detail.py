"""OODGUARD_DETAIL=verdict omits what an attacker could use as an objective to optimize."""

import json
import re

import pytest
from starlette.testclient import TestClient

from oodguard.service.api.schemas import BarePolicy, BareResponse, ModelsResponse
from oodguard.service.responses import COARSE_P_VALUES, coarse_p_value
from tests.service.checks import ask, post
from tests.service.conftest import Issued, MakeClient
from tests.service.pictures import BLACK, GREEN, WHITE, encode, plain


@pytest.fixture
def verdict_client(make_client: MakeClient) -> TestClient:
    return make_client(detail="verdict")


def test_verdict_detail_has_class_decision_and_p_value_only(verdict_client: TestClient) -> None:
    # Calibration scores are 1 to 250: brightness 85 has p = 167 / 251, and 255 has 1 / 251.
    files = [("files", encode(plain(colour))) for colour in (GREEN, WHITE)]
    answer = verdict_client.post("/predict", files=files).json()
    assert answer["predictions"] == [
        {"label": "green", "class_id": 1, "p_value": 1.0, "decision": "accept"},
        {"label": "red", "class_id": 0, "p_value": 0.05, "decision": "reject"},
    ]
    assert answer["policy"] == {"score": "brightness", "alpha": 0.05, "delta": 0.05}
    BareResponse.model_validate(answer)


def test_verdict_detail_omits_the_threshold_of_models(verdict_client: TestClient) -> None:
    text = verdict_client.get("/models").text
    assert "threshold" not in text
    (model,) = ModelsResponse.model_validate_json(text).models
    assert type(model.policy) is BarePolicy


def test_full_detail_is_the_default(client: TestClient) -> None:
    answer = client.post("/predict", files={"files": encode(plain(BLACK))}).json()
    assert set(answer["predictions"][0]) >= {"confidence", "scores"}
    assert "threshold" in answer["policy"]
    assert "threshold" in client.get("/models").json()["models"][0]["policy"]


def test_openapi_describes_the_responses_of_the_configured_detail(
    verdict_client: TestClient, client: TestClient
) -> None:
    shapes = []
    for each in (client, verdict_client):
        post = each.get("/openapi.json").json()["paths"]["/predict"]["post"]
        shapes.append(json.dumps(post["responses"]["200"]))
    assert "/PredictResponse" in shapes[0]
    assert "/BareResponse" in shapes[1]


@pytest.mark.parametrize(
    ("p_value", "alpha", "expected"),
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
def test_coarse_p_value_is_the_next_level_above_p_and_alpha(
    p_value: float, alpha: float, expected: float
) -> None:
    assert coarse_p_value(p_value, alpha) == expected


@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.07, 0.25, 0.6])
def test_coarse_p_value_is_equal_for_rejected_images_and_a_valid_p_value(alpha: float) -> None:
    n = 1000
    p_values = [rank / n for rank in range(1, n + 1)]
    assert len({coarse_p_value(p, alpha) for p in p_values if p <= alpha}) == 1
    # P(coarse <= t) <= t for uniform p-values.
    coarse = [coarse_p_value(p, alpha) for p in p_values]
    for level in COARSE_P_VALUES:
        assert sum(each <= level for each in coarse) / n <= level


SCORE_METRICS = [
    "score",
    "threshold",
    "p_value",
    "drift_log_martingale",
    "drift_alarms_total",
    "samples_held",
    "samples_held_bytes",
]


def score_metrics(client: TestClient, **headers: str) -> list[str]:
    """Return the metrics in /metrics that reveal scores."""
    text = client.get("/metrics", headers=headers).text
    assert "oodguard_decisions_total{" in text
    return [
        name for name in SCORE_METRICS if re.search(rf"^oodguard_{name}(_bucket)?[{{ ]", text, re.M)
    ]


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_verdict_detail_withholds_score_metrics(verdict_client: TestClient, accept: str) -> None:
    assert post(verdict_client, encode(plain())).status_code == 200
    assert score_metrics(verdict_client, accept=accept) == []


def test_full_detail_exposes_score_metrics(client: TestClient) -> None:
    ask(client)
    assert score_metrics(client) == SCORE_METRICS


def test_verdict_detail_exposes_score_metrics_to_the_role_metrics(
    make_secured: MakeClient, issued: Issued
) -> None:
    client = make_secured(detail="verdict")
    post(client, encode(plain()), **issued["predict"].headers)
    assert score_metrics(client, **issued["metrics"].headers) == SCORE_METRICS
