"""The fast path: POST /predict without FastAPI's router, with the same responses."""

import pytest
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.testclient import TestClient

from tests.service.checks import post, predictions, problem
from tests.service.pictures import encode, plain


def test_fast_path_answers_predict_without_the_framework(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def routed(*_: object) -> None:
        raise RuntimeError("the framework was called")

    monkeypatch.setattr(ExceptionMiddleware, "__call__", routed)
    problem(client.get("/healthz"), 500, "internal-error")
    predictions(post(client, encode(plain())))


@pytest.mark.parametrize("body", [encode(plain()), b"no image", b""])
def test_fast_path_response_equals_that_of_the_framework(client: TestClient, body: bytes) -> None:
    identity = {"x-request-id": "one"}
    fast = post(client, body, **identity)
    slow = post(client, body, path="/models/tiny/predict", **identity)
    assert fast.status_code == slow.status_code
    assert fast.json() == slow.json()
    assert fast.headers == slow.headers


def test_fast_path_leaves_other_methods_and_paths_to_the_framework(client: TestClient) -> None:
    problem(client.get("/predict"), 405, "method-not-allowed")
    problem(client.post("/predict/"), 404, "not-found")
    assert "/predict" in client.get("/openapi.json").json()["paths"]
