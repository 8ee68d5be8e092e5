"""Header limits: size and arrival time, on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import Receive, Scope, Send

from oodguard.service.server import header_limits
from oodguard.service.server.header_limits import (
    MAX_HEADER_BYTES,
    MAX_HEADER_LINES,
    MAX_TARGET_BYTES,
    SMALL_CHUNK_BYTES,
)
from tests.service.server.http_server import running_server

GET = b"GET / HTTP/1.1\r\nHost: guard\r\n"
CLOSE = b"Connection: close\r\n\r\n"
OK = b"HTTP/1.1 200 OK"
CHUNKED = b"POST / HTTP/1.1\r\nHost: guard\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"

pytestmark = pytest.mark.anyio


class Connection:
    """A connection to a server that answers every request with 200."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.read_until = reader.readuntil
        self.write = writer.write
        self.close = writer.close

    async def read_all(self) -> bytes:
        try:
            return await asyncio.wait_for(self._reader.read(), 30)
        except ConnectionResetError:
            return b""


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """A connection to an app that answers before it reads a body."""
    async with running_server(PlainTextResponse("yes")) as port:
        connection = Connection(*await asyncio.open_connection("127.0.0.1", port))
        yield connection
        connection.close()


@pytest.fixture
async def reading_connection() -> AsyncIterator[Connection]:
    """A connection to an app that reads the body, and returns the names of the headers."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        await JSONResponse([name.decode() for name, _ in scope["headers"]])(scope, receive, send)

    async with running_server(app) as port:
        connection = Connection(*await asyncio.open_connection("127.0.0.1", port))
        yield connection
        connection.close()


@pytest.fixture
def _short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_limits, "HEADER_TIMEOUT_S", 0.05)


@pytest.mark.parametrize(
    "line",
    [
        b"X: " + b"v" * MAX_HEADER_BYTES,
        b"X" * MAX_HEADER_BYTES + b": v",
        b"\r\n".join([b"a: b"] * 15_000),
    ],
    ids=["long value", "long name", "many headers"],
)
async def test_header_limit_rejects_complete_headers_that_are_too_large(
    connection: Connection, line: bytes
) -> None:
    connection.write(GET + line + b"\r\n\r\n")
    head, _, body = (await connection.read_all()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert b"content-type: application/problem+json" in head
    problem = json.loads(body)
    assert problem["type"] == "/problems/request-header-fields-too-large"
    assert problem["title"] == "Request header fields too large"
    assert problem["status"] == 431
    assert f"x-request-id: {problem['request_id']}".encode() in head


async def test_header_limit_rejects_an_endless_header(connection: Connection) -> None:
    connection.write(GET + b"X: ")
    response = asyncio.create_task(connection.read_all())
    sent = 0
    while not response.done():
        connection.write(b"v" * 10_000)
        sent += 10_000
        await asyncio.sleep(0.001)
    assert (await response).startswith(b"HTTP/1.1 431 ")
    assert sent < 100 * MAX_HEADER_BYTES


async def test_header_limit_ignores_bodies_and_pipelined_requests(connection: Connection) -> None:
    body = b"POST / HTTP/1.1\r\nHost: guard\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)
    connection.write(body + (GET + b"\r\n") * 5000 + GET + CLOSE)
    assert (await connection.read_all()).count(OK) == 5002


@pytest.mark.usefixtures("_short_timeout")
@pytest.mark.parametrize("sent", [b"", GET, GET + b"\r\n" + GET])
async def test_header_timeout_closes_the_connection(connection: Connection, sent: bytes) -> None:
    connection.write(sent)
    assert (await connection.read_all()).count(OK) == sent.count(b"\r\n\r\n")


@pytest.mark.usefixtures("_short_timeout")
async def test_header_timeout_does_not_apply_to_bodies(reading_connection: Connection) -> None:
    reading_connection.write(b"POST / HTTP/1.1\r\nHost: guard\r\nContent-Length: 2\r\n\r\na")
    await asyncio.sleep(0.2)
    reading_connection.write(b"b" + GET + CLOSE)
    assert (await reading_connection.read_all()).count(OK) == 2


async def test_body_of_an_answered_request_has_a_timeout(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(header_limits, "IGNORED_BODY_TIMEOUT_S", 0.05)
    connection.write(b"POST / HTTP/1.1\r\nHost: guard\r\nContent-Length: 9\r\n\r\na")
    await connection.read_until(b"yes")
    # A received byte stops uvicorn's timer.
    connection.write(b"b")
    assert await connection.read_all() == b""


@pytest.mark.usefixtures("_short_timeout")
async def test_connection_is_closed_when_nothing_follows_the_body_of_an_answered_request(
    connection: Connection,
) -> None:
    connection.write(b"POST / HTTP/1.1\r\nHost: guard\r\nContent-Length: 2\r\n\r\na")
    await connection.read_until(b"yes")
    connection.write(b"b")
    assert await connection.read_all() == b""


async def test_blank_lines_between_requests_are_limited(connection: Connection) -> None:
    connection.write(GET + b"\r\n")
    await connection.read_until(b"yes")
    connection.write(b"\r\n" * MAX_HEADER_BYTES)
    assert (await connection.read_all()).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("lines", "status"), [(MAX_HEADER_LINES, OK), (MAX_HEADER_LINES + 1, b"HTTP/1.1 431 ")]
)
async def test_header_limit_rejects_too_many_lines(
    connection: Connection, lines: int, status: bytes
) -> None:
    connection.write(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (lines - 1) + CLOSE)
    assert (await connection.read_all()).startswith(status)


@pytest.mark.parametrize(
    ("length", "status"), [(MAX_TARGET_BYTES, OK), (MAX_TARGET_BYTES + 1, b"HTTP/1.1 431 ")]
)
@pytest.mark.parametrize("start", [b"/", b"/?"])
async def test_header_limit_rejects_a_long_target(
    connection: Connection, start: bytes, length: int, status: bytes
) -> None:
    connection.write(b"GET " + start.ljust(length, b"a") + b" HTTP/1.1\r\n" + CLOSE)
    assert (await connection.read_all()).startswith(status)


@pytest.mark.parametrize(("version", "interim"), [(b"1.1", 1), (b"1.0", 0)])
async def test_interim_response_is_sent_to_clients_of_http_1_1_only(
    reading_connection: Connection, version: bytes, interim: int
) -> None:
    """RFC 9110, section 10.1.1: the expectation of an HTTP/1.0 client is ignored."""
    lines = b"Host: guard\r\nExpect: 100-continue\r\nContent-Length: 1\r\n"
    reading_connection.write(b"POST / HTTP/" + version + b"\r\n" + lines + CLOSE)
    if interim:
        await reading_connection.read_until(b"HTTP/1.1 100 Continue\r\n\r\n")
    else:
        await asyncio.sleep(0.01)
    reading_connection.write(b"x")
    received = await reading_connection.read_all()
    assert received.startswith(OK)
    assert b"100 Continue" not in received


@pytest.mark.parametrize("name", [b"Authorization", b"Content-Type", b"Expect", b"X-Shape"])
async def test_trailers_are_not_headers(reading_connection: Connection, name: bytes) -> None:
    trailer = name + b": 100-continue\r\n"
    reading_connection.write(CHUNKED + b"0\r\n" + trailer * 1000 + b"\r\n" + GET + CLOSE)
    first, second = (await reading_connection.read_all()).split(OK)[1:]
    assert json.loads(first.partition(b"\r\n\r\n")[2]) == ["host", "transfer-encoding"]
    assert json.loads(second.partition(b"\r\n\r\n")[2]) == ["host", "connection"]


@pytest.mark.parametrize(
    "trailers",
    [b"a: b\r\n" * 15_000 + b"\r\n", b"a: " + b"b" * MAX_HEADER_BYTES, b"a" * MAX_HEADER_BYTES],
    ids=["many", "value", "name"],
)
async def test_trailers_that_are_too_large_are_rejected(
    reading_connection: Connection, trailers: bytes
) -> None:
    reading_connection.write(CHUNKED)
    await asyncio.sleep(0.01)
    reading_connection.write(b"0\r\n" + trailers)
    assert (await reading_connection.read_all()).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("part", [b"a: b\r\n", b"a"])
async def test_trailers_that_are_too_large_close_the_connection_after_the_response(
    connection: Connection, part: bytes
) -> None:
    connection.write(CHUNKED)
    await connection.read_until(b"yes")
    connection.write(b"0\r\n" + part * MAX_HEADER_BYTES)
    assert await connection.read_all() == b""


async def test_chunk_extension_that_is_too_large_is_rejected(
    reading_connection: Connection,
) -> None:
    reading_connection.write(CHUNKED)
    await asyncio.sleep(0.01)
    reading_connection.write(b"1;" + b"e" * MAX_HEADER_BYTES)
    assert (await reading_connection.read_all()).startswith(b"HTTP/1.1 431 ")


async def test_body_of_many_small_chunks_is_rejected(reading_connection: Connection) -> None:
    reading_connection.write(CHUNKED + b"1\r\nx\r\n" * 2000)
    assert (await reading_connection.read_all()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("size", [1, SMALL_CHUNK_BYTES])
async def test_ignored_body_of_many_small_chunks_closes_the_connection(
    connection: Connection, size: int
) -> None:
    connection.write(CHUNKED)
    await connection.read_until(b"yes")
    connection.write(b"%x\r\n%s\r\n" % (size, bytes(size)) * 2000)
    assert await connection.read_all() == b""


async def test_body_of_some_small_or_many_larger_chunks_is_accepted(
    reading_connection: Connection,
) -> None:
    larger = b"%x\r\n%s\r\n" % (SMALL_CHUNK_BYTES, bytes(SMALL_CHUNK_BYTES))
    for chunks in (b"1\r\nx\r\n" * 900, larger * 5000):
        reading_connection.write(CHUNKED + chunks + b"0\r\n\r\n")
    reading_connection.write(GET + CLOSE)
    assert (await reading_connection.read_all()).count(OK) == 3


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Transfer-Encoding: chunked\r\n", OK),
        (b"transfer-encoding:\tChunked \r\n", OK),
        (b"Transfer-Encoding: gzip, chunked\r\n", b"HTTP/1.1 400 "),
        (b"Transfer-Encoding: identity, chunked\r\n", b"HTTP/1.1 400 "),
        (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", b"HTTP/1.1 400 "),
        (b"Transfer-Encoding: chunked, chunked\r\n", b"HTTP/1.1 400 "),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"HTTP/1.1 400 "),
    ],
)
async def test_transfer_encoding_other_than_chunked_is_rejected(
    reading_connection: Connection, headers: bytes, status: bytes
) -> None:
    request = b"POST / HTTP/1.1\r\n" + headers + CLOSE + b"1\r\nx\r\n0\r\n\r\n"
    reading_connection.write(request)
    response = await reading_connection.read_all()
    assert response.startswith(status)
    assert response.count(b"HTTP/1.1") == 1
