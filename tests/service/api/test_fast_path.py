"""The fast path: POST /predict without FastAPI's router, with the same responses."""

import pytest
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.testclient import TestClient

from tests.service.checks import predictions, problem
from tests.service.conftest import MakeClient
from tests.service.pictures import encode, plain
from tests.service.telemetry.test_metrics import samples, value

PNG = {"content-type": "image/png"}


def test_fast_path_answers_predict_without_the_framework(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def routed(*_: object) -> None:
        raise RuntimeError("the framework was called")

    monkeypatch.setattr(ExceptionMiddleware, "__call__", routed)
    problem(client.get("/healthz"), 500, "internal-error")
    predictions(client.post("/predict", content=encode(plain()), headers=PNG))


@pytest.mark.parametrize("body", [encode(plain()), b"no image", b""])
def test_fast_path_response_equals_the_response_of_the_framework(
    make_client: MakeClient, body: bytes
) -> None:
    client = make_client()
    headers = {**PNG, "x-request-id": "one"}
    fast = client.post("/predict", content=body, headers=headers)
    slow = client.post("/models/tiny/predict", content=body, headers=headers)
    assert fast.status_code == slow.status_code
    assert fast.json() == slow.json()
    assert fast.headers == slow.headers


def test_fast_path_leaves_other_methods_and_paths_to_the_framework(client: TestClient) -> None:
    problem(client.get("/predict"), 405, "method-not-allowed")
    problem(client.post("/predict/"), 404, "not-found")
    assert "/predict" in client.get("/openapi.json").json()["paths"]


def test_fast_path_request_is_counted_under_its_route(client: TestClient) -> None:
    predictions(client.post("/predict", content=encode(plain()), headers=PNG))
    found = samples(client)
    assert value(found, "oodguard_requests_total", route="/predict", code="200") == 1
