"""Early load shedding: 429 in the HTTP protocol, equal to the response of the middleware."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from oodguard.service.app import create_app
from oodguard.service.readiness import Readiness
from oodguard.service.settings import Settings
from tests.service.api_keys import IssuedKey, write_key_file
from tests.service.conftest import MakeClient
from tests.service.gate import Gate
from tests.service.pictures import encode, plain
from tests.service.server.http_server import running_server

BODY = encode(plain())
CONTENT = b"Content-Type: image/png\r\nContent-Length: %d\r\n" % len(BODY)
# The query makes it another URL for the protocol, and the same route for the application.
NOT_EARLY = b"/predict?"


@dataclass(frozen=True)
class RawResponse:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, head: bytes, body: bytes = b"") -> RawResponse:
        self.writer.write(head + b"\r\n" + body)
        return await self.response()

    async def response(self) -> RawResponse:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)
        first, *lines = head.decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return RawResponse(int(first.split()[1]), headers, body)


def head(target: bytes = b"/predict", *, method: bytes = b"POST", more: bytes = b"") -> bytes:
    return b"%s %s HTTP/1.1\r\nHost: guard\r\nX-Request-Id: one\r\n%s" % (method, target, more)


@dataclass
class FullService:
    """A service at its concurrency limit.

    Attributes:
        received: The requests that the application received since then.
    """

    port: int
    received: list[str]
    connections: list[Connection] = field(default_factory=list)

    async def connect(self) -> Connection:
        connection = Connection(*await asyncio.open_connection("127.0.0.1", self.port))
        self.connections.append(connection)
        return connection

    async def close(self) -> None:
        for connection in self.connections:
            connection.writer.close()
            await connection.writer.wait_closed()

    async def metric(self, name: str, **labels: str) -> float:
        connection = await self.connect()
        text = (await connection.send(head(b"/metrics", method=b"GET"))).body.decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@asynccontextmanager
async def full_service(
    folder: Path,
    gate: Gate,
    *,
    readiness: Readiness | None = None,
    headers: bytes = b"",
    **settings: object,
) -> AsyncIterator[FullService]:
    chosen = {"bundle": folder, "max_pending": 1, **settings}
    app = create_app(Settings.model_validate(chosen), readiness)
    received: list[str] = []

    async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            received.append(f"{scope['method']} {scope['path']}")
        await app(scope, receive, send)

    async with running_server(recorded, app.state.load_shedding) as port:
        service = FullService(port, received)
        first = await service.connect()
        first.writer.write(head(more=CONTENT + headers) + b"\r\n" + BODY)
        assert await asyncio.to_thread(gate.entered.wait, 20)
        received.clear()
        try:
            yield service
        finally:
            gate.opened.set()
        assert (await first.response()).status == 200
        later = await service.connect()
        assert (await later.send(head(more=CONTENT + headers), BODY)).status == 200
        await service.close()


def test_early_429_equals_the_response_of_the_middleware(bundle_folder: Path, gate: Gate) -> None:
    async def scene() -> None:
        async with full_service(bundle_folder, gate) as service:
            connection = await service.connect()
            early = await connection.send(head(more=CONTENT), BODY)
            assert service.received == []
            late = await connection.send(head(NOT_EARLY, more=CONTENT), BODY)
            assert service.received == ["POST /predict"]
            assert early == late
            assert early.status == 429
            assert early.headers["retry-after"] == "1"
            assert early.headers["x-content-type-options"] == "nosniff"
            problem = json.loads(early.body)
            assert (problem["type"], problem["title"], problem["request_id"]) == (
                "/problems/overloaded",
                "Too many requests",
                "one",
            )

    asyncio.run(scene())


def test_early_429_requires_an_api_key(
    bundle_folder: Path, gate: Gate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = IssuedKey.create("predict", key_id="caller")
    metrics_key = IssuedKey.create("metrics", key_id="metrics")
    key_file = write_key_file(tmp_path / "keys.toml", key, metrics_key)
    right, other_role = (
        f"Authorization: Bearer {each.token}\r\n".encode() for each in (key, metrics_key)
    )
    wrong = right.replace(b"oodguard_caller", b"oodguard_unknown")

    async def scene() -> None:
        async with full_service(bundle_folder, gate, headers=right, keys_file=key_file) as service:
            connection = await service.connect()
            for sent, status in ((b"", 401), (wrong, 401), (other_role, 403), (right, 429)):
                service.received.clear()
                early = await connection.send(head(more=CONTENT + sent), BODY)
                assert (early.status, service.received) == (status, [])
                assert early == await connection.send(head(NOT_EARLY, more=CONTENT + sent), BODY)

    with caplog.at_level(logging.INFO, "oodguard.access"):
        asyncio.run(scene())
    lines = [each.__dict__["fields"] for each in caplog.records if each.name == "oodguard.access"]
    rejected = [(each["problem"], each.get("key")) for each in lines if "problem" in each]
    assert rejected == [
        *[("key-missing", None)] * 2,
        *[("key-unknown", None)] * 2,
        *[("role-missing", None)] * 2,
        *[("overloaded", "caller")] * 2,
    ]


def test_early_429_discards_the_body(bundle_folder: Path, gate: Gate) -> None:
    async def scene() -> None:
        async with full_service(bundle_folder, gate) as service:
            connection = await service.connect()
            assert (await connection.send(head(more=CONTENT))).status == 429
            connection.writer.write(BODY[:10])
            await asyncio.sleep(0.01)
            connection.writer.write(BODY[10:])
            assert (await connection.send(head(b"/healthz", method=b"GET"))).status == 200
            assert service.received == ["GET /healthz"]

    asyncio.run(scene())


def test_early_429_is_counted_and_logged(
    bundle_folder: Path, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with full_service(bundle_folder, gate) as service:
            connection = await service.connect()
            with caplog.at_level(logging.INFO, "oodguard.access"):
                for _ in range(3):
                    await connection.send(head(more=CONTENT), BODY)
            lines = [each for each in caplog.records if each.name == "oodguard.access"]
            fields = [each.__dict__["fields"] for each in lines]
            assert all(each.pop("duration_ms") >= 0 for each in fields)
            assert fields == 3 * [
                {
                    "request_id": "one",
                    "problem": "overloaded",
                    "shed": "overloaded",
                    "method": "POST",
                    "route": "/predict",
                    "code": 429,
                    "images": 0,
                    "rejected": 0,
                }
            ]
            assert await service.metric("oodguard_shed_total", reason="overloaded") == 3
            labels = {"route": "/predict", "code": "429"}
            assert await service.metric("oodguard_requests_total", **labels) == 3

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (head(method=b"GET"), 405),
        (head(b"/models/tiny/predict", more=CONTENT), 429),
        (head(more=CONTENT + b"Connection: close\r\n"), 429),
        (head(more=CONTENT + b"Expect: 100-continue\r\n"), 429),
        (head(more=CONTENT).replace(b"1.1", b"1.0"), 429),
        (head(more=CONTENT + b"Connection: keep-alive\r\n").replace(b"1.1", b"1.0"), 429),
    ],
    ids=["method", "route", "close", "expect", "HTTP/1.0", "HTTP/1.0 keep-alive"],
)
def test_early_429_is_skipped_if_the_request_needs_the_full_stack(
    request_head: bytes, status: int, bundle_folder: Path, gate: Gate
) -> None:
    async def scene() -> None:
        async with full_service(bundle_folder, gate) as service:
            connection = await service.connect()
            body = BODY if CONTENT in request_head else b""
            assert (await connection.send(request_head, body)).status == status
            assert len(service.received) == 1

    asyncio.run(scene())


def test_early_429_is_skipped_for_pipelined_requests(bundle_folder: Path, gate: Gate) -> None:
    async def scene() -> None:
        async with full_service(bundle_folder, gate) as service:
            connection = await service.connect()
            connection.writer.write(head(b"/healthz", method=b"GET") + b"\r\n")
            first = await connection.send(head(more=CONTENT), BODY)
            assert (first.status, (await connection.response()).status) == (200, 429)
            assert service.received == ["GET /healthz", "POST /predict"]

    asyncio.run(scene())


def test_early_429_is_skipped_while_draining(bundle_folder: Path, gate: Gate) -> None:
    async def scene() -> None:
        readiness = Readiness()
        async with full_service(bundle_folder, gate, readiness=readiness) as service:
            connection = await service.connect()
            readiness.drain()
            response = await connection.send(head(more=CONTENT), BODY)
            assert (response.status, response.headers["connection"]) == (429, "close")
            assert service.received == ["POST /predict"]

    asyncio.run(scene())


def test_early_load_shedding_is_disabled_with_cors(make_client: MakeClient) -> None:
    def shedding(client: TestClient) -> object:
        assert isinstance(client.app, FastAPI)
        return client.app.state.load_shedding

    assert shedding(make_client()) is not None
    assert shedding(make_client(cors_origins="https://guard.example")) is None
