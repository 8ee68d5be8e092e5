"""Requests, and checks of their responses that many tests share."""

from collections.abc import Iterable
from pathlib import Path

from httpx2 import Response
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from oodguard.service.api.schemas import Prediction, PredictResponse, Problem
from tests.service.pictures import encode, plain

DOCS = Path(__file__).parents[2] / "docs"


def predictions(response: Response) -> list[Prediction]:
    """Return the predictions of a valid response."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    answer = PredictResponse.model_validate_json(response.content)
    assert answer.request_id == response.headers["x-request-id"]
    return answer.predictions


def problem(response: Response, status: int, slug: str) -> Problem:
    """Return the problem of a valid error response, whose type must be documented."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    answer = Problem.model_validate_json(response.content)
    assert answer.status == status
    assert answer.type == f"/problems/{slug}"
    assert answer.request_id == response.headers["x-request-id"]
    assert f"### {slug}\n" in (DOCS / "http-api.md").read_text(encoding="utf-8")
    return answer


def metric(exposition: str, name: str, **labels: str) -> float:
    """Return the sum of the samples that have these labels among others."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def still_serves(client: TestClient) -> None:
    """Check that a valid request still gets the right response."""
    response = post(client, encode(plain()))
    assert [prediction.label for prediction in predictions(response)] == ["red"]


def post(
    client: TestClient,
    body: bytes | Iterable[bytes],
    content_type: str = "image/png",
    *,
    path: str = "/predict",
    **headers: str,
) -> Response:
    """Send a body to POST /predict."""
    return client.post(path, content=body, headers={"content-type": content_type, **headers})


def post_pixels(client: TestClient, body: bytes, shape: str) -> Response:
    """Send raw pixels to POST /predict."""
    return post(client, body, "application/octet-stream", **{"x-shape": shape})


def ask(client: TestClient, path: str = "/predict") -> PredictResponse:
    """Send a red image, and return the valid response."""
    response = post(client, encode(plain()), path=path)
    predictions(response)
    return PredictResponse.model_validate_json(response.content)


def answering_model(client: TestClient, path: str = "/predict") -> tuple[str, str]:
    """Return the name and version of the model that answers."""
    model = ask(client, path).model
    return model.name, model.version
