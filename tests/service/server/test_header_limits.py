"""Header limits: size and arrival time, on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from starlette.responses import PlainTextResponse

from oodguard.service.server import header_limits
from oodguard.service.server.header_limits import MAX_HEADER_BYTES
from tests.service.server.http_server import running_server

GET = b"GET / HTTP/1.1\r\nHost: guard\r\n"
CLOSE = b"Connection: close\r\n\r\n"
OK = b"HTTP/1.1 200 OK"

pytestmark = pytest.mark.anyio


class Connection:
    """A connection to a server that answers every request with 200."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.write = writer.write
        self.close = writer.close

    async def read_all(self) -> bytes:
        try:
            return await asyncio.wait_for(self._reader.read(), 30)
        except ConnectionResetError:
            return b""


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    async with running_server(PlainTextResponse("yes")) as port:
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
async def test_header_timeout_does_not_apply_to_bodies(connection: Connection) -> None:
    connection.write(b"POST / HTTP/1.1\r\nHost: guard\r\nContent-Length: 2\r\n\r\na")
    await asyncio.sleep(0.2)
    connection.write(b"b" + GET + CLOSE)
    assert (await connection.read_all()).count(OK) == 2
