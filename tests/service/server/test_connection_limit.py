"""The limit of open connections, and the end of connections whose clients read nothing."""

import asyncio
import resource
import socket
from collections.abc import Awaitable, Callable

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from oodguard.service.server import connection_limit
from oodguard.service.server.connection_limit import (
    MAX_CONNECTIONS,
    limit_unread_time,
    max_connections,
)
from tests.service.server.http_server import running_server

GET = b"GET / HTTP/1.1\r\n\r\n"
TIMEOUT_S = 30

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _two_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limit, "MAX_CONNECTIONS", 2)


async def answer(streams: Streams) -> bytes:
    reader, writer = streams
    writer.write(GET)
    return await asyncio.wait_for(reader.readuntil(b"yes"), TIMEOUT_S)


async def is_closed(streams: Streams) -> bool:
    try:
        return await asyncio.wait_for(streams[0].read(), TIMEOUT_S) == b""
    except ConnectionResetError:
        return True


async def test_too_many_connections_close_the_one_that_waits_longest() -> None:
    async with running_server(PlainTextResponse("yes")) as port:
        first, second = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await answer(second)
        # The first one now waits since a later moment.
        await answer(first)
        third = await asyncio.open_connection("127.0.0.1", port)
        assert await is_closed(second)
        assert (await answer(third)).startswith(b"HTTP/1.1 200 ")
        assert (await answer(first)).startswith(b"HTTP/1.1 200 ")
        for _, writer in (first, second, third):
            writer.close()


async def test_too_many_connections_close_the_new_one_if_all_are_being_answered() -> None:
    answered, started = asyncio.Event(), asyncio.Semaphore(0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            started.release()
            await answered.wait()
            await PlainTextResponse("yes")(scope, receive, send)

    async with running_server(app) as port:
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        answers = [asyncio.create_task(answer(each)) for each in connections]
        for _ in connections:
            await started.acquire()
        new = await asyncio.open_connection("127.0.0.1", port)
        assert await is_closed(new)
        answered.set()
        assert all(each.startswith(b"HTTP/1.1 200 ") for each in await asyncio.gather(*answers))
        for _, writer in (*connections, new):
            writer.close()


async def test_connection_whose_client_reads_nothing_counts_as_waiting() -> None:
    async with running_server(PlainTextResponse(bytes(30_000_000))) as port:
        unread, second = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        unread[1].write(GET)
        await unread[0].readuntil(b"\r\n\r\n")
        second[1].write(GET)
        await second[0].readexactly(30_000_000)
        third = await asyncio.open_connection("127.0.0.1", port)
        third[1].write(GET)
        await third[0].readexactly(30_000_000)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await unread[0].readexactly(30_000_000)
        for _, writer in (unread, second, third):
            writer.close()


@pytest.mark.parametrize(
    ("files", "expected"),
    [(1024, 924), (4096, MAX_CONNECTIONS), (50, 1), (resource.RLIM_INFINITY, MAX_CONNECTIONS)],
)
def test_maximum_number_of_connections_fits_the_limit_of_open_files(
    files: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limit, "MAX_CONNECTIONS", MAX_CONNECTIONS)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert max_connections() == expected


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="requires TCP_USER_TIMEOUT")
async def test_connection_is_closed_when_its_client_reads_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_limit, "UNREAD_TIMEOUT_S", 0.1)
    lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.WriteTransport)
            transport.write(bytes(30_000_000))
            transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            lost.set_result(exc)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        limit_unread_time(listener)
        server = await asyncio.get_running_loop().create_server(Protocol, sock=listener)
        with socket.create_connection(listener.getsockname()):
            assert isinstance(await asyncio.wait_for(lost, TIMEOUT_S), TimeoutError)
        server.close()


async def test_connection_with_an_unfinished_body_counts_as_waiting() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        await PlainTextResponse("yes")(scope, receive, send)

    async with running_server(app) as port:
        first, second = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        first[1].write(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx")
        await answer(second)
        third = await asyncio.open_connection("127.0.0.1", port)
        assert await is_closed(first)
        first[1].close()
        for streams in (second, third):
            assert (await answer(streams)).startswith(b"HTTP/1.1 200 ")
            streams[1].close()
