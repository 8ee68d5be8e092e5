"""The predictor: the concurrency limit, the deadline, and the use of deployments and threads."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from httpx2 import Response
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Message

from oodguard.service.inference.inline_execution import InlineExecution
from oodguard.service.inference.model import LoadedModel
from oodguard.service.prediction.admission import Admission
from oodguard.service.prediction.predictor import Predictor
from oodguard.service.readiness import Readiness
from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.registry import ModelRegistry
from oodguard.service.registry.routing import Routing
from oodguard.service.settings import Settings
from oodguard.service.telemetry.metrics import Metrics
from tests.service.checks import post, predictions, problem, still_serves
from tests.service.conftest import Gate, MakeClient
from tests.service.pictures import encode, plain


def send(client: TestClient, **headers: str) -> Response:
    return post(client, encode(plain()), **headers)


def test_returns_429_over_the_concurrency_limit(make_client: MakeClient, gate: Gate) -> None:
    client = make_client(max_pending=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(send, client)
        assert gate.entered.wait(20)
        rejected = send(client)
        assert client.get("/healthz").status_code == 200
        gate.opened.set()
        assert predictions(first.result())[0].label == "red"
    assert "at most 1" in problem(rejected, 429, "overloaded").detail
    assert rejected.headers["retry-after"] == "1"
    # The first request was released after its response, and the next after its own.
    still_serves(client)
    still_serves(client)


def test_returns_504_past_the_timeout_of_the_client(make_client: MakeClient, gate: Gate) -> None:
    late = send(make_client(timeout_s=600), **{"x-timeout-ms": "50"})
    assert "0.05 s" in problem(late, 504, "deadline-exceeded").detail
    gate.opened.set()


def test_returns_504_past_the_deadline_and_releases_the_request(
    make_client: MakeClient, gate: Gate
) -> None:
    client = make_client(timeout_s=0.05, max_pending=1)
    for _ in range(2):
        assert "0.05 s" in problem(send(client), 504, "deadline-exceeded").detail
    gate.opened.set()


def test_runs_take_place_in_engine_threads(
    gate: Gate, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InlineExecution, "is_faster", lambda *_: False)
    gate.opened.set()
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(send, client) for _ in range(8)]:
            predictions(future.result())
    assert gate.threads == {"engine"}


@pytest.mark.anyio
async def test_request_being_read_keeps_a_retired_deployment_alive(model: LoadedModel) -> None:
    metrics = Metrics(build="1", runtime="1")
    settings = Settings(timeout_s=10)
    deployment = Deployment(model, metrics, settings)
    predictor = Predictor(
        ModelRegistry(Routing()),
        settings,
        metrics,
        Readiness(),
        admission=Admission(max_requests=1, max_bytes=2**20, max_images=1),
        large_decode_bytes=2**20,
    )
    bodies = [encode(plain())]

    async def receive() -> Message:
        if not bodies:
            await asyncio.Event().wait()
        deployment.retire()
        return {"type": "http.request", "body": bodies.pop()}

    headers = [(b"content-type", b"image/png")]
    scope = {"type": "http", "method": "POST", "headers": headers, "state": {}}
    job = await predictor.predict(deployment, Request(scope, receive))
    assert [verdict.label for verdict in job.verdicts] == ["red"]
    deployment.batcher.join()
    predictor.decode_pool.close()
