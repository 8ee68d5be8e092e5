"""Headers are bounded in size and in time, by a real server on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest
from starlette.responses import PlainTextResponse

from oodguard.service.server import http_protocol as heads
from oodguard.service.server.http_protocol import MOST_BYTES
from tests.service.http.servers import serving

GET = b"GET / HTTP/1.1\r\nHost: guard\r\n"


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server that answers `yes`."""
    async with serving(PlainTextResponse("yes")) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.close()


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, bytes]]


def talk(say: Talk) -> bytes:
    async def both() -> bytes:
        async with connected() as (reader, writer):
            return await asyncio.wait_for(say(reader, writer), 30)

    return asyncio.run(both())


async def read_all(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize(
    "line",
    [b"X: " + b"v" * MOST_BYTES, b"X" * MOST_BYTES + b": v", b"\r\n".join([b"a: b"] * 15_000)],
)
def test_a_whole_head_of_too_many_bytes_is_refused(line: bytes) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(GET + line + b"\r\n\r\n")
        return await read_all(reader)

    head, _, body = talk(say).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert b"content-type: application/problem+json" in head
    problem = json.loads(body)
    assert problem["type"] == "/problems/request-header-fields-too-large"
    assert problem["status"] == 431
    assert f"x-request-id: {problem['request_id']}".encode() in head


def test_a_header_without_end_is_refused_while_it_comes() -> None:
    sent = 0

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        nonlocal sent
        writer.write(GET + b"X: ")
        answer = asyncio.create_task(read_all(reader))
        while not answer.done():
            writer.write(b"v" * 10_000)
            sent += 10_000
            await asyncio.sleep(0.001)
        return await answer

    assert talk(say).startswith(b"HTTP/1.1 431 ")
    assert sent < 100 * MOST_BYTES


def test_a_body_and_pipelined_requests_do_not_count() -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        body = b"POST / HTTP/1.1\r\nHost: guard\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)
        writer.write(body + (GET + b"\r\n") * 5000 + GET + b"Connection: close\r\n\r\n")
        return await read_all(reader)

    assert talk(say).count(b"HTTP/1.1 200 OK") == 5002


@pytest.mark.parametrize("sent", [b"", GET, GET + b"\r\n" + GET])
def test_a_head_that_takes_too_long_ends_the_connection(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "WITHIN_S", 0.05)

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(sent)
        return await read_all(reader)

    assert talk(say).count(b"HTTP/1.1 200 OK") == sent.count(b"\r\n\r\n")


def test_a_body_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "WITHIN_S", 0.05)

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"POST / HTTP/1.1\r\nHost: guard\r\nContent-Length: 2\r\n\r\na")
        await asyncio.sleep(0.2)
        writer.write(b"b" + GET + b"Connection: close\r\n\r\n")
        return await read_all(reader)

    assert talk(say).count(b"HTTP/1.1 200 OK") == 2
