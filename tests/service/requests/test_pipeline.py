"""Requests in flight are bounded, in number and in time."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from httpx2 import Response
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Message

from oodguard.models.manifest import InputSpec
from oodguard.service.errors import DeadlineExceeded
from oodguard.service.images.decode import to_pixels
from oodguard.service.images.types import Encoded, RequestLimits
from oodguard.service.inference.batcher import InlineExecution
from oodguard.service.inference.model import LoadedModel
from oodguard.service.prediction.predictor import Pipeline
from oodguard.service.registry.deployment import Deployment
from oodguard.service.settings import Settings
from oodguard.service.telemetry.metrics import Metrics
from tests.service.checks import predictions, problem, still_serves
from tests.service.conftest import MakeClient
from tests.service.gate import Gate
from tests.service.pictures import encode, plain


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.opened.set()


def send(client: TestClient) -> Response:
    return client.post("/predict", content=encode(plain()), headers={"content-type": "image/png"})


def test_beyond_the_limit_in_flight_a_request_is_told_to_come_back(
    make_client: MakeClient, gate: Gate
) -> None:
    client = make_client(max_pending=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(send, client)
        assert gate.entered.wait(20)
        refused = send(client)
        assert client.get("/healthz").status_code == 200
        gate.opened.set()
        assert predictions(first.result())[0].label == "red"
    assert "at most 1" in problem(refused, 429, "overloaded").detail
    assert refused.headers["retry-after"] == "1"
    # The place in flight is free again, after an answer as after a refusal.
    still_serves(client)
    still_serves(client)


def test_a_client_can_ask_to_be_given_up_sooner(make_client: MakeClient, gate: Gate) -> None:
    client = make_client(timeout_s=600)
    late = client.post(
        "/predict",
        content=encode(plain()),
        headers={"content-type": "image/png", "x-timeout-ms": "50"},
    )
    assert "0.05 s" in problem(late, 504, "deadline-exceeded").detail
    gate.opened.set()


def test_a_request_that_takes_too_long_is_given_up_and_its_place_is_free_again(
    make_client: MakeClient, gate: Gate
) -> None:
    client = make_client(timeout_s=0.05, max_pending=1)
    assert "0.05 s" in problem(send(client), 504, "deadline-exceeded").detail
    # The place is free: what is given up again is late, and not refused.
    problem(send(client), 504, "deadline-exceeded")
    gate.opened.set()


def test_runs_that_take_their_time_happen_in_threads_of_their_own(
    gate: Gate, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InlineExecution, "worth_it", lambda *_: False)
    gate.opened.set()
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(send, client) for _ in range(8)]:
            predictions(future.result())
    assert gate.threads == {"engine"}


def test_a_request_that_is_being_read_keeps_the_engine_of_a_model_that_is_replaced(
    model: LoadedModel,
) -> None:
    async def scene() -> None:
        metrics = Metrics(build="1", runtime="1")
        deployment = Deployment(model, metrics, Settings())
        pipeline = Pipeline(Settings(timeout_s=10), metrics)
        bodies = [encode(plain())]

        async def receive() -> Message:
            if not bodies:
                await asyncio.Event().wait()
            deployment.retire()
            return {"type": "http.request", "body": bodies.pop()}

        headers = [(b"content-type", b"image/png")]
        request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
        _, job = await pipeline.answer(deployment, request)
        assert [verdict.label for verdict in job.verdicts] == ["red"]
        deployment.batcher.join()
        pipeline.close()

    asyncio.run(scene())


def test_images_past_the_deadline_are_not_decoded() -> None:
    limits = RequestLimits(max_body_bytes=1, max_images=2, max_pixels=64)
    payload = [Encoded(data=encode(plain()))] * 2
    with pytest.raises(DeadlineExceeded, match="0 of 2 images"):
        to_pixels(payload, InputSpec(height=8, width=8), limits, lambda: True)
