"""What is checked of many answers."""

from pathlib import Path

from httpx2 import Response
from starlette.testclient import TestClient

from oodguard.service.api.schemas import PredictAnswer, Prediction, Problem
from tests.service.pictures import encode, plain

DOCS = Path(__file__).parents[2] / "docs"


def predictions(response: Response) -> list[Prediction]:
    """The predictions of an answer that keeps to the documented shape."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    answer = PredictAnswer.model_validate_json(response.content)
    assert answer.request_id == response.headers["x-request-id"]
    return answer.predictions


def problem(response: Response, status: int, slug: str) -> Problem:
    """The problem of an answer that keeps to the documented shape and has a documented type."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    answer = Problem.model_validate_json(response.content)
    assert answer.status == status
    assert answer.type == f"/problems/{slug}"
    assert answer.request_id == response.headers["x-request-id"]
    assert f"### {slug}\n" in (DOCS / "http-api.md").read_text(encoding="utf-8")
    return answer


def still_serves(client: TestClient) -> None:
    """A good request is answered rightly, whatever came before."""
    response = post(client, encode(plain()))
    assert [prediction.label for prediction in predictions(response)] == ["red"]


def post(
    client: TestClient, body: bytes, content_type: str = "image/png", **headers: str
) -> Response:
    """Ask about one body."""
    return client.post("/predict", content=body, headers={"content-type": content_type, **headers})


def post_pixels(client: TestClient, body: bytes, shape: str) -> Response:
    """Ask about raw pixels."""
    return post(client, body, "application/octet-stream", **{"x-shape": shape})
