"""Responses that are not read: their bytes count, and their connections are closed."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from oodguard.service.errors import Overloaded
from oodguard.service.prediction.admission import MAX_UNREAD_BYTES, Admission
from oodguard.service.server import unread_responses
from oodguard.service.server.unread_responses import limit_unread_responses
from tests.service.server.http_server import running_server

TIMEOUT_S = 30
SIZE = 20_000_000

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

pytestmark = pytest.mark.anyio


class App:
    """Answers with as many bytes as the path names; counts the requests."""

    def __init__(self) -> None:
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.requests += 1
            size = int(Request(scope).url.path[1:])
            await PlainTextResponse(bytes(size))(scope, receive, send)


def make_admission() -> Admission:
    return Admission(max_requests=1, max_bytes=1, max_images=1)


@asynccontextmanager
async def request(port: int, size: int, lines: bytes = b"") -> AsyncIterator[Streams]:
    """Request a response, and read only its headers."""
    streams = await asyncio.open_connection("127.0.0.1", port)
    streams[1].write(b"GET /%d HTTP/1.1\r\n%s\r\n" % (size, lines))
    await asyncio.wait_for(streams[0].readuntil(b"\r\n\r\n"), TIMEOUT_S)
    yield streams
    streams[1].close()


async def until(admission: Admission, *, has_unread: bool) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while admission.has_unread() != has_unread:
            await asyncio.sleep(0)


@pytest.mark.parametrize("lines", [b"", b"Connection: close\r\n"])
async def test_unread_bytes_count_until_they_are_read(lines: bytes) -> None:
    admission = make_admission()
    async with (
        running_server(App(), admission=admission) as port,
        request(port, SIZE, lines) as (reader, _),
    ):
        await until(admission, has_unread=True)
        await reader.readexactly(SIZE)
        await until(admission, has_unread=False)


async def test_unread_bytes_are_released_when_the_client_disconnects() -> None:
    admission = make_admission()
    async with running_server(App(), admission=admission) as port:
        async with request(port, SIZE):
            await until(admission, has_unread=True)
        await until(admission, has_unread=False)


async def test_unread_bytes_of_an_address_reject_its_requests() -> None:
    admission = make_admission()
    size = MAX_UNREAD_BYTES
    async with running_server(App(), admission=admission) as port, request(port, size):
        await until(admission, has_unread=True)
        with pytest.raises(Overloaded, match="are not read, expected at most"):
            admission.require_reader("127.0.0.1")
        admission.require_reader("127.0.0.2")


async def test_unread_bytes_beyond_the_limit_close_the_connection() -> None:
    admission = make_admission()
    async with (
        running_server(App(), admission=admission) as port,
        # Alone, a response may exceed the limit.
        request(port, 2 * MAX_UNREAD_BYTES) as (first, _),
    ):
        await until(admission, has_unread=True)
        async with request(port, SIZE) as (second, _):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await asyncio.wait_for(second.readexactly(SIZE), TIMEOUT_S)
        await first.readexactly(2 * MAX_UNREAD_BYTES)


async def test_request_after_an_unread_response_waits_for_the_client() -> None:
    app, admission = App(), make_admission()
    async with (
        running_server(app, admission=admission) as port,
        request(port, SIZE) as (reader, writer),
    ):
        await until(admission, has_unread=True)
        writer.write(b"GET /1 HTTP/1.1\r\n\r\n")
        async with request(port, 1):
            assert app.requests == 2
        await reader.readexactly(SIZE)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT_S)
        assert app.requests == 3


async def test_connection_is_closed_when_its_client_reads_too_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unread_responses, "UNREAD_PERIOD_S", 0.05)
    admission = make_admission()
    async with running_server(App(), admission=admission) as port, request(port, SIZE) as (slow, _):
        await until(admission, has_unread=True)
        await until(admission, has_unread=False)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await slow.readexactly(SIZE)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="requires TCP_USER_TIMEOUT")
async def test_system_holds_little_and_closes_the_connection_when_its_client_reads_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unread_responses, "UNREAD_PERIOD_S", 0.1)
    lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    left: list[int] = []

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.WriteTransport)
            transport.write(bytes(SIZE))
            left.append(transport.get_write_buffer_size())
            transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            lost.set_result(exc)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        limit_unread_responses(listener)
        server = await asyncio.get_running_loop().create_server(Protocol, sock=listener)
        with socket.create_connection(listener.getsockname()):
            assert isinstance(await asyncio.wait_for(lost, TIMEOUT_S), TimeoutError)
        server.close()
    # The client may receive some, and the system holds little more than the limit that was set.
    assert SIZE - left[0] < 1_000_000
