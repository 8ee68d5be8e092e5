"""The busiest route answers as it would through the framework, and the framework does the rest."""

import pytest
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.testclient import TestClient

from tests.service.checks import predictions, problem
from tests.service.conftest import MakeClient
from tests.service.pictures import encode, plain
from tests.service.telemetry.test_metrics import samples, value

PNG = {"content-type": "image/png"}


def test_the_busiest_route_is_answered_without_the_framework(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def routed(*_: object) -> None:
        raise RuntimeError("the framework was asked")

    monkeypatch.setattr(ExceptionMiddleware, "__call__", routed)
    problem(client.get("/healthz"), 500, "internal-error")
    predictions(client.post("/predict", content=encode(plain()), headers=PNG))


@pytest.mark.parametrize("body", [encode(plain()), b"no image", b""])
def test_both_ways_answer_alike(make_client: MakeClient, body: bytes) -> None:
    short = make_client()
    headers = {**PNG, "x-request-id": "one"}
    came = short.post("/predict", content=body, headers=headers)
    named = short.post("/models/tiny/predict", content=body, headers=headers)
    assert (came.status_code, came.json(), came.headers) == (
        named.status_code,
        named.json(),
        named.headers,
    )


def test_every_other_way_to_ask_for_the_path_is_the_framework_s(client: TestClient) -> None:
    problem(client.get("/predict"), 405, "method-not-allowed")
    problem(client.post("/predict/"), 404, "not-found")
    assert "/predict" in client.get("/openapi.json").json()["paths"]


def test_a_direct_answer_is_counted_under_its_route(client: TestClient) -> None:
    predictions(client.post("/predict", content=encode(plain()), headers=PNG))
    found = samples(client)
    assert value(found, "oodguard_requests_total", route="/predict", code="200") == 1
