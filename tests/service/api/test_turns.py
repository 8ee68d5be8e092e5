"""Requests other than predictions: clients take turns in the event loop."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from oodguard.service.api.middleware import SECURITY_HEADERS
from oodguard.service.api.problems import error_response
from oodguard.service.api.turns import TurnMiddleware
from oodguard.service.app import create_app
from oodguard.service.errors import Overloaded
from oodguard.service.prediction.admission import Claim
from oodguard.service.readiness import Readiness
from oodguard.service.settings import Settings
from tests.service.checks import problem

pytestmark = pytest.mark.anyio

FLOODING, OTHER = "192.0.2.1", "192.0.2.2"

PAGE = "https://shop.example"


def accept(_scope: Scope) -> None:
    pass


async def order_of(requests: Sequence[tuple[str, str, str]]) -> list[tuple[int, str]]:
    """Send requests (client, method, path) at once; return turn of the event loop and client."""
    started: list[tuple[int, str]] = []
    turn = 0

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        started.append((turn, scope["state"]["client"]))

    async def unused(*_: object) -> None:
        raise NotImplementedError

    middleware = TurnMiddleware(app, accept, error_response)
    tasks = [
        asyncio.ensure_future(
            middleware(
                {"type": "http", "method": method, "path": path, "state": {"client": client}},
                unused,  # type: ignore[arg-type]
                unused,
            )
        )
        for client, method, path in requests
    ]
    while not all(task.done() for task in tasks):
        turn += 1
        await asyncio.sleep(0)
    return started


async def test_turns_start_one_request_at_a_time_and_the_next_client_first() -> None:
    requests = [(FLOODING, "GET", "/metrics")] * 20 + [(OTHER, "GET", "/metrics")]
    started = await order_of(requests)
    turns = [turn for turn, _ in started]
    assert len(set(turns)) == len(turns) == 21
    assert OTHER in [client for _, client in started[:4]]


@pytest.mark.parametrize("path", ["/predict", "/models/tiny/predict", "/v2/models/tiny/infer"])
async def test_turns_start_predictions_together(path: str) -> None:
    started = await order_of([(FLOODING, "GET", "/metrics")] * 9 + [(OTHER, "POST", path)] * 9)
    assert len({turn for turn, client in started if client == OTHER}) == 1


async def test_turns_skip_a_request_that_was_cancelled() -> None:
    async def app(*_: object) -> None:
        pass

    middleware = TurnMiddleware(app, accept, error_response)
    scope = {"type": "http", "method": "GET", "path": "/", "state": {"client": OTHER}}
    first, second, third = (
        asyncio.ensure_future(middleware(dict(scope), app, app))  # type: ignore[arg-type]
        for _ in range(3)
    )
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(first, third)
    assert second.cancelled()


@pytest.mark.parametrize(("method", "path"), [("GET", "/metrics"), ("POST", "/predict")])
async def test_turns_reject_a_request_when_it_is_started(method: str, path: str) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def unused(*_: object) -> None:
        raise NotImplementedError

    def reject(_scope: Scope) -> None:
        raise Overloaded("9 bytes are not read")

    middleware = TurnMiddleware(unused, reject, error_response)
    state = {"client": OTHER, "request_id": "1"}
    scope = {"type": "http", "method": method, "path": path, "state": state}
    await middleware(scope, unused, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 429
    assert b"9 bytes are not read" in sent[1]["body"]


def test_turns_reject_a_request_with_the_headers_of_every_response(bundle_folder: Path) -> None:
    readiness = Readiness()
    app = create_app(Settings(bundle=bundle_folder, cors_origins=PAGE), readiness)
    # The bytes are released outside of the event loop.
    app.state.admission.on_released = lambda _count: None
    with TestClient(app) as client, Claim(app.state.admission, "testclient") as claim:
        # The share of one address is four fifths of 64 MiB, of which 16 MiB must be free.
        claim.add("unread bytes", 36 * 2**20)
        response = client.get("/healthz", headers={"origin": PAGE})
        problem(response, 429, "overloaded")
        for name, value in SECURITY_HEADERS.items():
            assert response.headers.get_list(name) == [value]
        assert response.headers["access-control-allow-origin"] == PAGE
        assert "connection" not in response.headers
        readiness.drain()
        response = client.get("/healthz")
        problem(response, 429, "overloaded")
        assert response.headers["connection"] == "close"
