"""Header limits: size and arrival time, on a real socket."""

import asyncio
import json
from collections.abc import Callable, Coroutine

import pytest
from starlette.responses import PlainTextResponse

from oodguard.service.server import header_limits
from oodguard.service.server.header_limits import MAX_HEADER_BYTES
from tests.service.server.http_server import running_server

GET = b"GET / HTTP/1.1\r\nHost: guard\r\n"
CLOSE = b"Connection: close\r\n\r\n"
OK = b"HTTP/1.1 200 OK"

Exchange = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, bytes]]


def run(exchange: Exchange) -> bytes:
    """Run an exchange over a connection to a server that answers every request with 200."""

    async def connect() -> bytes:
        async with running_server(PlainTextResponse("yes")) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                return await asyncio.wait_for(exchange(reader, writer), 30)
            finally:
                writer.close()

    return asyncio.run(connect())


def send(data: bytes) -> bytes:
    """Return everything that the server sends after it received some bytes."""

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(data)
        return await read_all(reader)

    return run(exchange)


async def read_all(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize(
    "line",
    [
        b"X: " + b"v" * MAX_HEADER_BYTES,
        b"X" * MAX_HEADER_BYTES + b": v",
        b"\r\n".join([b"a: b"] * 15_000),
    ],
    ids=["long value", "long name", "many headers"],
)
def test_header_limit_rejects_complete_headers_that_are_too_large(line: bytes) -> None:
    head, _, body = send(GET + line + b"\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert b"content-type: application/problem+json" in head
    problem = json.loads(body)
    assert problem["type"] == "/problems/request-header-fields-too-large"
    assert problem["title"] == "Request header fields too large"
    assert problem["status"] == 431
    assert f"x-request-id: {problem['request_id']}".encode() in head


def test_header_limit_rejects_endless_header_while_it_is_received() -> None:
    sent = 0

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        nonlocal sent
        writer.write(GET + b"X: ")
        response = asyncio.create_task(read_all(reader))
        while not response.done():
            writer.write(b"v" * 10_000)
            sent += 10_000
            await asyncio.sleep(0.001)
        return await response

    assert run(exchange).startswith(b"HTTP/1.1 431 ")
    assert sent < 100 * MAX_HEADER_BYTES


def test_header_limit_does_not_count_bodies_and_pipelined_requests() -> None:
    body = b"POST / HTTP/1.1\r\nHost: guard\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)
    assert send(body + (GET + b"\r\n") * 5000 + GET + CLOSE).count(OK) == 5002


@pytest.mark.parametrize("sent", [b"", GET, GET + b"\r\n" + GET])
def test_header_timeout_closes_the_connection(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_limits, "HEADER_TIMEOUT_S", 0.05)
    assert send(sent).count(OK) == sent.count(b"\r\n\r\n")


def test_header_timeout_does_not_apply_to_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_limits, "HEADER_TIMEOUT_S", 0.05)

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"POST / HTTP/1.1\r\nHost: guard\r\nContent-Length: 2\r\n\r\na")
        await asyncio.sleep(0.2)
        writer.write(b"b" + GET + CLOSE)
        return await read_all(reader)

    assert run(exchange).count(OK) == 2
