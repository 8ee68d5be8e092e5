"""Early load shedding: 429 in the HTTP protocol, equal to the response of the middleware."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from oodguard.service.app import create_app
from oodguard.service.settings import Settings
from tests.service.api_keys import IssuedKey, write_key_file
from tests.service.checks import metric
from tests.service.conftest import AccessLog, Gate
from tests.service.server.full_service import (
    BODY,
    CONTENT,
    Connection,
    FullService,
    full_service,
    head,
)

pytestmark = pytest.mark.anyio
# The query makes it another URL for the protocol, and the same route for the application.
NOT_EARLY = b"/predict?"


@pytest.fixture
async def service(bundle_folder: Path, gate: Gate) -> AsyncIterator[FullService]:
    async with full_service(bundle_folder, gate) as service:
        yield service


async def test_early_429_equals_the_response_of_the_middleware(service: FullService) -> None:
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
    assert (problem["type"], problem["title"]) == ("/problems/overloaded", "Too many requests")
    assert problem["request_id"] == "one"


async def test_early_429_requires_an_api_key(
    bundle_folder: Path, gate: Gate, tmp_path: Path, access_log: AccessLog
) -> None:
    key = IssuedKey.create("predict", key_id="caller")
    metrics_key = IssuedKey.create("metrics", key_id="metrics")
    key_file = write_key_file(tmp_path / "keys.toml", key, metrics_key)
    right, other_role = (
        f"Authorization: Bearer {each.token}\r\n".encode() for each in (key, metrics_key)
    )
    wrong = right.replace(b"oodguard_caller", b"oodguard_unknown")
    async with full_service(bundle_folder, gate, headers=right, keys_file=key_file) as service:
        connection = await service.connect()
        for sent, status in ((b"", 401), (wrong, 401), (other_role, 403), (right, 429)):
            service.received.clear()
            early = await connection.send(head(more=CONTENT + sent), BODY)
            assert (early.status, service.received) == (status, [])
            assert early == await connection.send(head(NOT_EARLY, more=CONTENT + sent), BODY)
    rejected = [(line["problem"], line.get("key")) for line in access_log() if "problem" in line]
    assert rejected == [
        *[("key-missing", None)] * 2,
        *[("key-unknown", "unknown")] * 2,
        *[("role-missing", "metrics")] * 2,
        *[("overloaded", "caller")] * 2,
    ]


async def test_early_429_equals_that_of_the_middleware_at_the_share_of_a_client(
    bundle_folder: Path, gate: Gate, tmp_path: Path
) -> None:
    flooding = IssuedKey.create("predict", key_id="flooding")
    other = IssuedKey.create("predict", key_id="other", requests_per_minute=2)
    key_file = write_key_file(tmp_path / "keys.toml", flooding, other)
    flood, header = (
        f"Authorization: Bearer {each.token}\r\n".encode() for each in (flooding, other)
    )
    # Four fifths of 5.
    async with full_service(
        bundle_folder, gate, headers=flood, keys_file=key_file, places=5, held=4
    ) as service:
        connection = await service.connect()
        early = await connection.send(head(more=CONTENT + flood), BODY)
        assert service.received == []
        assert early == await connection.send(head(NOT_EARLY, more=CONTENT + flood), BODY)
        detail = "4 requests of this client are in flight and 1 more were received, at most 4 are"
        assert (early.status, json.loads(early.body)["detail"][: len(detail)]) == (429, detail)
        # Another client is admitted. Its request counts once towards its rate limit.
        service.received.clear()
        admitted = await service.connect()
        admitted.writer.write(head(more=CONTENT + header) + b"\r\n" + BODY)
        while not service.received:
            await asyncio.sleep(0.001)
        full = await connection.send(head(more=CONTENT + header), BODY)
        assert (full.status, json.loads(full.body)["type"]) == (429, "/problems/overloaded")
        gate.opened.set()
        assert (await admitted.response()).status == 200
        limited = await connection.send(head(more=CONTENT + header), BODY)
        assert json.loads(limited.body)["type"] == "/problems/rate-limited"


async def test_early_429_is_skipped_for_another_address(bundle_folder: Path, gate: Gate) -> None:
    async with full_service(bundle_folder, gate, places=5, held=4) as service:
        connection = await service.connect()
        assert (await connection.send(head(more=CONTENT), BODY)).status == 429
        other = Connection(
            *await asyncio.open_connection("127.0.0.1", service.port, local_addr=("127.0.0.2", 0))
        )
        service.connections.append(other)
        other.writer.write(head(more=CONTENT) + b"\r\n" + BODY)
        while not service.received:
            await asyncio.sleep(0.001)
        gate.opened.set()
        assert (await other.response()).status == 200


async def test_early_429_discards_the_body(service: FullService) -> None:
    connection = await service.connect()
    assert (await connection.send(head(more=CONTENT))).status == 429
    connection.writer.write(BODY[:10])
    await asyncio.sleep(0.01)
    connection.writer.write(BODY[10:])
    assert (await connection.send(head(b"/healthz", method=b"GET"))).status == 200
    assert service.received == ["GET /healthz"]


async def test_early_429_is_counted_and_logged(service: FullService, access_log: AccessLog) -> None:
    connection = await service.connect()
    for _ in range(3):
        await connection.send(head(more=CONTENT), BODY)
    lines = access_log()
    assert all(line.pop("duration_ms") >= 0 and line.pop("time") for line in lines)
    assert lines == 3 * [
        {
            "level": "info",
            "logger": "oodguard.access",
            "message": "request",
            "request_id": "one",
            "client": "127.0.0.1",
            "problem": "overloaded",
            "shed": "overloaded",
            "method": "POST",
            "route": "/predict",
            "code": 429,
            "images": 0,
            "rejected": 0,
        }
    ]
    text = (await connection.send(head(b"/metrics", method=b"GET"))).body.decode()
    assert metric(text, "oodguard_shed_total", reason="overloaded") == 3
    assert metric(text, "oodguard_requests_total", route="/predict", code="429") == 3


async def test_early_response_has_a_route_in_the_metrics_unless_the_request_is_denied(
    bundle_folder: Path, gate: Gate, tmp_path: Path, access_log: AccessLog
) -> None:
    caller = IssuedKey.create("predict", key_id="caller")
    limited = IssuedKey.create("predict", key_id="limited", requests_per_minute=1)
    reader = IssuedKey.create("metrics", key_id="reader")
    key_file = write_key_file(tmp_path / "keys.toml", caller, limited, reader)
    right, once, metrics_key = (
        f"Authorization: Bearer {each.token}\r\n".encode() for each in (caller, limited, reader)
    )
    async with full_service(bundle_folder, gate, headers=right, keys_file=key_file) as service:
        connection = await service.connect()
        for sent, status in ((b"", 401), (metrics_key, 403), (once, 429), (once, 429)):
            assert (await connection.send(head(more=CONTENT + sent), BODY)).status == status
        assert service.received == []
        lines = [(line["problem"], line["route"]) for line in access_log()]
        assert lines == [
            ("key-missing", "other"),
            ("role-missing", "other"),
            ("overloaded", "/predict"),
            ("rate-limited", "other"),
        ]
        request = head(b"/metrics", method=b"GET", more=metrics_key)
        text = (await connection.send(request)).body.decode()
    for route, code, count in (
        ("/predict", "401", 0),
        ("/predict", "403", 0),
        ("/predict", "429", 1),
        ("other", "401", 1),
        ("other", "403", 1),
        ("other", "429", 1),
    ):
        assert metric(text, "oodguard_requests_total", route=route, code=code) == count


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
async def test_early_429_is_skipped_if_the_request_needs_the_full_stack(
    request_head: bytes, status: int, service: FullService
) -> None:
    connection = await service.connect()
    body = BODY if CONTENT in request_head else b""
    assert (await connection.send(request_head, body)).status == status
    assert len(service.received) == 1


async def test_early_429_is_sent_to_pipelined_requests_in_their_turn(service: FullService) -> None:
    connection = await service.connect()
    connection.writer.write(head(b"/healthz", method=b"GET") + b"\r\n")
    first = await connection.send(head(more=CONTENT), BODY)
    assert (first.status, (await connection.response()).status) == (200, 429)
    assert service.received == ["GET /healthz"]


async def test_early_429_is_skipped_while_an_earlier_request_is_answered(
    service: FullService,
) -> None:
    connection = await service.connect()
    # The end of a chunked body and the next headers are parsed together.
    chunked = head(b"/healthz", method=b"GET", more=b"Transfer-Encoding: chunked\r\n")
    connection.writer.write(chunked + b"\r\n0\r\n\r\n")
    first = await connection.send(head(more=CONTENT), BODY)
    assert (first.status, (await connection.response()).status) == (200, 429)
    assert service.received == ["GET /healthz", "POST /predict"]


async def test_early_429_is_skipped_while_draining(service: FullService) -> None:
    connection = await service.connect()
    service.readiness.drain()
    response = await connection.send(head(more=CONTENT), BODY)
    assert (response.status, response.headers["connection"]) == (429, "close")
    assert service.received == ["POST /predict"]


@pytest.mark.parametrize(("origins", "enabled"), [(None, True), ("https://guard.example", False)])
def test_early_load_shedding_is_disabled_with_cors(
    bundle_folder: Path, origins: str | None, *, enabled: bool
) -> None:
    app = create_app(Settings(bundle=bundle_folder, cors_origins=origins))
    assert (app.state.load_shedding is not None) == enabled
