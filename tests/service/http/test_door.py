"""Who finds no place is refused at the door, with the answer that the layers would give."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
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
from tests.service.conftest import MakeClient
from tests.service.gate import Gate
from tests.service.http.servers import serving
from tests.service.pictures import encode, plain
from tests.service.security.holders import Holder, text_of

BODY = encode(plain())
CONTENT = b"Content-Type: image/png\r\nContent-Length: %d\r\n" % len(BODY)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.opened.set()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Client:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, head: bytes, body: bytes = b"") -> Answer:
        self.writer.write(head + b"\r\n" + body)
        return await self.answer()

    async def answer(self) -> Answer:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)
        first, *lines = head.decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return Answer(int(first.split()[1]), headers, body)


def asking(target: bytes = b"/predict", *, method: bytes = b"POST", more: bytes = b"") -> bytes:
    return b"%s %s HTTP/1.1\r\nHost: guard\r\nX-Request-Id: one\r\n%s" % (method, target, more)


@dataclass
class Scene:
    """A service in which the only place is taken.

    Attributes:
        inside: What the application was asked since.
    """

    port: int
    inside: list[str]
    clients: list[Client] = field(default_factory=list)

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client

    async def end(self) -> None:
        for client in self.clients:
            client.writer.close()
            await client.writer.wait_closed()

    async def count(self, name: str, **labels: str) -> float:
        client = await self.client()
        text = (await client.ask(asking(b"/metrics", method=b"GET"))).body.decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@asynccontextmanager
async def full(
    folder: Path,
    gate: Gate,
    *,
    readiness: Readiness | None = None,
    shown: bytes = b"",
    **settings: object,
) -> AsyncIterator[Scene]:
    chosen = {"bundle": folder, "max_pending": 1, **settings}
    app = create_app(Settings.model_validate(chosen), readiness)
    inside: list[str] = []

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            inside.append(f"{scope['method']} {scope['path']}")
        await app(scope, receive, send)

    async with serving(watched, app.state.door) as port:
        scene = Scene(port, inside)
        first = await scene.client()
        first.writer.write(asking(more=CONTENT + shown) + b"\r\n" + BODY)
        assert await asyncio.to_thread(gate.entered.wait, 20)
        inside.clear()
        try:
            yield scene
        finally:
            gate.opened.set()
        assert (await first.answer()).status == 200
        later = await scene.client()
        assert (await later.ask(asking(more=CONTENT + shown), BODY)).status == 200
        await scene.end()


def test_a_refusal_at_the_door_is_that_of_the_layers(bundle_folder: Path, gate: Gate) -> None:
    async def scene() -> None:
        async with full(bundle_folder, gate) as service:
            client = await service.client()
            at_the_door = await client.ask(asking(more=CONTENT), BODY)
            assert service.inside == []
            further_inside = await client.ask(asking(b"/predict?", more=CONTENT), BODY)
            assert service.inside == ["POST /predict"]
            assert at_the_door == further_inside
            assert at_the_door.status == 429
            assert at_the_door.headers["retry-after"] == "1"
            assert at_the_door.headers["x-content-type-options"] == "nosniff"
            assert json.loads(at_the_door.body) == {
                "type": "/problems/overloaded",
                "title": "Too many requests are in flight",
                "status": 429,
                "detail": "1 requests are in flight, at most 1 are allowed",
                "request_id": "one",
            }

    asyncio.run(scene())


def test_who_shows_no_key_does_not_learn_that_it_is_full(
    bundle_folder: Path, gate: Gate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    holder = Holder.with_roles("predict", key_id="caller")
    keys = tmp_path / "keys.toml"
    keys.touch(0o600)
    keys.write_text(text_of(holder))
    right = f"Authorization: Bearer {holder.token}\r\n".encode()
    wrong = right.replace(b"oodguard_caller", b"oodguard_nobody")

    async def scene() -> None:
        async with full(bundle_folder, gate, shown=right, keys_file=keys) as service:
            client = await service.client()
            for shown, status in ((b"", 401), (wrong, 401), (right, 429)):
                service.inside.clear()
                at_the_door = await client.ask(asking(more=CONTENT + shown), BODY)
                assert (at_the_door.status, service.inside) == (status, [])
                asked_inside = asking(b"/predict?", more=CONTENT + shown)
                assert at_the_door == await client.ask(asked_inside, BODY)

    with caplog.at_level(logging.INFO, "oodguard.access"):
        asyncio.run(scene())
    lines = [each.__dict__["fields"] for each in caplog.records if each.name == "oodguard.access"]
    refused = [(each["problem"], each.get("key")) for each in lines if "problem" in each]
    denied = [("key-missing", None)] * 2 + [("key-unknown", None)] * 2
    assert refused == denied + [("overloaded", "caller")] * 2


def test_the_body_of_who_is_refused_is_passed_over(bundle_folder: Path, gate: Gate) -> None:
    async def scene() -> None:
        async with full(bundle_folder, gate) as service:
            client = await service.client()
            assert (await client.ask(asking(more=CONTENT))).status == 429
            client.writer.write(BODY[:10])
            await asyncio.sleep(0.01)
            client.writer.write(BODY[10:])
            assert (await client.ask(asking(b"/healthz", method=b"GET"))).status == 200
            assert service.inside == ["GET /healthz"]

    asyncio.run(scene())


def test_refusals_are_counted_and_logged(
    bundle_folder: Path, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with full(bundle_folder, gate) as service:
            client = await service.client()
            with caplog.at_level(logging.INFO, "oodguard.access"):
                for _ in range(3):
                    await client.ask(asking(more=CONTENT), BODY)
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
            assert await service.count("oodguard_shed_total", reason="overloaded") == 3
            counted = {"route": "/predict", "code": "429"}
            assert await service.count("oodguard_requests_total", **counted) == 3

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (asking(method=b"GET"), 405),
        (asking(b"/models/tiny/predict", more=CONTENT), 429),
        (asking(more=CONTENT + b"Connection: close\r\n"), 429),
        (asking(more=CONTENT + b"Expect: 100-continue\r\n"), 429),
        (asking(more=CONTENT).replace(b"1.1", b"1.0"), 429),
        (asking(more=CONTENT + b"Connection: keep-alive\r\n").replace(b"1.1", b"1.0"), 429),
    ],
)
def test_whatever_else_is_to_be_minded_is_minded_inside(
    head: bytes, status: int, bundle_folder: Path, gate: Gate
) -> None:
    async def scene() -> None:
        async with full(bundle_folder, gate) as service:
            client = await service.client()
            assert (await client.ask(head, BODY if CONTENT in head else b"")).status == status
            assert len(service.inside) == 1

    asyncio.run(scene())


def test_a_request_behind_another_waits_for_its_turn(bundle_folder: Path, gate: Gate) -> None:
    async def scene() -> None:
        async with full(bundle_folder, gate) as service:
            client = await service.client()
            client.writer.write(asking(b"/healthz", method=b"GET") + b"\r\n")
            second = await client.ask(asking(more=CONTENT), BODY)
            assert (second.status, (await client.answer()).status) == (200, 429)
            assert service.inside == ["GET /healthz", "POST /predict"]

    asyncio.run(scene())


def test_while_the_service_drains_clients_are_asked_to_leave(
    bundle_folder: Path, gate: Gate
) -> None:
    async def scene() -> None:
        readiness = Readiness()
        async with full(bundle_folder, gate, readiness=readiness) as service:
            client = await service.client()
            readiness.drain()
            refused = await client.ask(asking(more=CONTENT), BODY)
            assert (refused.status, refused.headers["connection"]) == (429, "close")
            assert service.inside == ["POST /predict"]

    asyncio.run(scene())


def test_what_a_page_of_another_origin_reads_is_made_further_inside(
    make_client: MakeClient,
) -> None:
    assert door(make_client()) is not None
    assert door(make_client(cors_origins="https://guard.example")) is None


def door(client: TestClient) -> object:
    assert isinstance(client.app, FastAPI)
    return client.app.state.door
