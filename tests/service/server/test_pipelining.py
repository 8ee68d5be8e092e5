"""Pipelined requests: parsed one at a time, answered in their turn, on a real socket."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from oodguard.service.server.pipelining import MIN_BODY_PIECE_BYTES
from oodguard.service.server.transport_wrapper import TransportWrapper
from tests.service.server.http_server import running_server

GET = b"GET / HTTP/1.1\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
NO_HTTP = b"\xff\xff\r\n\r\n"

pytestmark = pytest.mark.anyio


class Gate:
    """An app that reads the body, and answers no request before `open` is set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.started = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.started += 1
        await Request(scope, receive).body()
        await self.open.wait()
        await PlainTextResponse("yes")(scope, receive, send)


@asynccontextmanager
async def connection(
    app: ASGIApp,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with running_server(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.close()


def statuses(received: bytes) -> list[bytes]:
    return [each[:3] for each in received.split(b"HTTP/1.1 ")[1:]]


async def until_idle() -> None:
    """Let the event loop read all that the server accepts."""
    for _ in range(100):
        await asyncio.sleep(0)


async def test_pipelined_requests_wait_unparsed_and_are_all_answered() -> None:
    gate, others = Gate(), live_cycles()
    async with connection(gate) as (reader, writer):
        writer.write(GET * 3000 + LAST)
        await until_idle()
        assert gate.started == live_cycles() - others == 1
        gate.open.set()
        assert statuses(await reader.read()) == [b"200"] * 3001


@pytest.mark.parametrize("name", [b"Content-Length", b"content-length"])
@pytest.mark.parametrize("cuts", [(), (30,), (-1,), (-3, -1)])
async def test_pipelined_requests_behind_a_body_of_known_length_wait_unparsed(
    name: bytes, cuts: tuple[int, ...]
) -> None:
    gate, others = Gate(), live_cycles()
    post = b"POST / HTTP/1.1\r\n%s: 4\r\n\r\n\r\n\r\n" % name
    async with connection(gate) as (reader, writer):
        start = 0
        for cut in cuts:
            writer.write(post[start:cut])
            await until_idle()
            start = cut
        writer.write(post[start:] + (GET + post) * 1000 + LAST)
        await until_idle()
        assert gate.started == 1
        # A piece that begins within headers may contain the next headers too.
        assert live_cycles() - others <= (2 if 30 in cuts else 1)
        gate.open.set()
        assert statuses(await reader.read()) == [b"200"] * 2002


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 54000\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 54000\r\n",
        b"Transfer-Encoding: identity\r\nContent-Length: 54000\r\n",
        b"Content-Length: 54000\r\nContent-Length: 54000\r\n",
        b"Content-Length: 54000, 54000\r\n",
        b"X: \r\n Content-Length: 54000\r\n",
    ],
)
async def test_requests_behind_an_ambiguous_length_are_not_parsed(lines: bytes) -> None:
    gate, others = Gate(), live_cycles()
    async with connection(gate) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\n" + lines + b"\r\n" + GET * 3000)
        await until_idle()
        assert live_cycles() - others <= 1
        gate.open.set()
        writer.write_eof()
        assert set(statuses(await reader.read())) <= {b"200", b"400"}


async def test_pipelined_requests_behind_a_chunked_body_are_parsed_up_to_a_piece() -> None:
    gate, others = Gate(), live_cycles()
    async with connection(gate) as (reader, writer):
        writer.write(CHUNKED + GET * 3000 + LAST)
        await until_idle()
        assert live_cycles() - others <= 2 + MIN_BODY_PIECE_BYTES // len(GET)
        gate.open.set()
        assert statuses(await reader.read()) == [b"200"] * 3002


async def test_reading_stays_paused_while_an_application_waits_for_a_disconnect() -> None:
    gate, others = Gate(), live_cycles()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        disconnect = asyncio.create_task(Request(scope, receive).is_disconnected())
        await gate(scope, receive, send)
        disconnect.cancel()

    async with connection(app) as (_, writer):
        for _ in range(20):
            writer.write(CHUNKED + GET * 1000)
            await until_idle()
        assert live_cycles() - others <= 2 + MIN_BODY_PIECE_BYTES // len(GET)
        gate.open.set()


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
async def test_bytes_that_are_not_http_get_400_after_the_earlier_response(request_: bytes) -> None:
    gate = Gate()
    async with connection(gate) as (reader, writer):
        writer.write(request_ + NO_HTTP)
        await until_idle()
        gate.open.set()
        assert statuses(await reader.read()) == [b"200", b"400"]


async def test_invalid_target_gets_400() -> None:
    async with connection(PlainTextResponse("yes")) as (reader, writer):
        writer.write(b"CONNECT guard:443 HTTP/1.1\r\n\r\n")
        assert statuses(await reader.read()) == [b"400"]


async def test_bytes_that_are_not_http_in_one_piece_with_a_body_close_the_connection() -> None:
    gate = Gate()
    async with connection(gate) as (reader, writer):
        writer.write(CHUNKED + NO_HTTP)
        await until_idle()
        gate.open.set()
        received = await reader.read()
        assert statuses(received) == [b"200"]
        assert b"connection: close" in received


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
async def test_body_of_an_upgrade_is_not_read_as_a_request(protocol: bytes) -> None:
    request = b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: %s\r\nContent-Length: %d\r\n\r\n"
    async with connection(PlainTextResponse("yes")) as (reader, writer):
        writer.write(request % (protocol, len(GET)))
        await until_idle()
        writer.write(GET)
        received = await reader.read()
    assert statuses(received) == [b"200"]
    assert b"connection: close" in received


async def test_server_of_a_failed_test_ends_although_requests_wait() -> None:
    async def fail() -> None:
        async with connection(Gate()) as (_, writer):
            writer.write(GET * 3 + CHUNKED + GET)
            await until_idle()
            raise LookupError

    with pytest.raises(LookupError):
        await fail()


def live_cycles() -> int:
    """Return the number of requests that uvicorn has parsed and not yet dropped."""
    return sum(type(each) is RequestResponseCycle for each in gc.get_objects())


class ClosedTransport(asyncio.Transport):
    """A closed transport of uvloop, which raises if it is used."""

    def is_closing(self) -> bool:
        return True

    def write(self, _data: object) -> None:
        raise RuntimeError("the handler is closed")

    def write_eof(self) -> None:
        raise RuntimeError("the handler is closed")

    def pause_reading(self) -> None:
        raise RuntimeError("the handler is closed")

    def resume_reading(self) -> None:
        raise RuntimeError("the handler is closed")


def test_closed_transport_ignores_writes_and_changes_of_reading() -> None:
    transport = TransportWrapper(ClosedTransport())
    transport.write(b"x")
    transport.write_eof()
    transport.pause_reading()
    transport.resume_reading()
    assert transport.is_closing()
