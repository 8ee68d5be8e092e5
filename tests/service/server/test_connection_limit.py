"""The limit of open connections."""

import asyncio
import resource
from collections.abc import Awaitable, Callable

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from oodguard.service.server import connection_limit
from oodguard.service.server.connection_limit import (
    MAX_CONNECTIONS,
    max_connections,
)
from tests.service.server.http_server import running_server

GET = b"GET / HTTP/1.1\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"
TIMEOUT_S = 30

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _two_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limit, "MAX_CONNECTIONS", 2)


async def connect(port: int, address: str = "127.0.0.1") -> Streams:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))


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
        first, second = [await connect(port) for _ in range(2)]
        await answer(second)
        # The first one now waits since a later moment.
        await answer(first)
        third = await connect(port)
        assert await is_closed(second)
        assert (await answer(third)).startswith(b"HTTP/1.1 200 ")
        assert (await answer(first)).startswith(b"HTTP/1.1 200 ")
        for _, writer in (first, second, third):
            writer.close()


@pytest.mark.parametrize("other_waits", [False, True])
async def test_too_many_connections_close_the_new_one_if_no_other_of_its_client_waits(
    *, other_waits: bool
) -> None:
    answered, started = asyncio.Event(), asyncio.Semaphore(0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            started.release()
            await answered.wait()
            await PlainTextResponse("yes")(scope, receive, send)

    async with running_server(app) as port:
        other, busy = await connect(port, "127.0.0.2"), await connect(port)
        answers = [asyncio.create_task(answer(busy))]
        if not other_waits:
            answers.append(asyncio.create_task(answer(other)))
        for _ in answers:
            await started.acquire()
        new = await connect(port)
        assert await is_closed(new)
        answered.set()
        for response in (*await asyncio.gather(*answers), await answer(other)):
            assert response.startswith(b"HTTP/1.1 200 ")
        for _, writer in (other, busy, new):
            writer.close()


async def test_connection_whose_client_reads_nothing_counts_as_waiting() -> None:
    async with running_server(PlainTextResponse(bytes(30_000_000))) as port:
        unread, second = [await connect(port) for _ in range(2)]
        unread[1].write(GET)
        await unread[0].readuntil(b"\r\n\r\n")
        second[1].write(GET)
        await second[0].readexactly(30_000_000)
        third = await connect(port)
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


class BodyReader:
    """An app that reads the body of each request; `started` is released at its begin."""

    def __init__(self) -> None:
        self.started = asyncio.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.started.release()
            await Request(scope, receive).body()
            await PlainTextResponse("yes")(scope, receive, send)

    async def begin_upload(self, streams: Streams) -> None:
        streams[1].write(UPLOAD)
        await self.started.acquire()


async def test_connection_with_an_unfinished_body_counts_as_waiting() -> None:
    app = BodyReader()
    async with running_server(app) as port:
        first, second = [await connect(port) for _ in range(2)]
        for streams in (first, second):
            await app.begin_upload(streams)
        third = await connect(port)
        assert await is_closed(first)
        assert (await answer(third)).startswith(b"HTTP/1.1 200 ")
        for _, writer in (first, second, third):
            writer.close()


async def test_connection_that_sends_a_body_is_preferred_to_idle_ones() -> None:
    app = BodyReader()
    async with running_server(app) as port:
        uploading, idle = [await connect(port) for _ in range(2)]
        await app.begin_upload(uploading)
        await answer(idle)
        third = await connect(port)
        assert await is_closed(idle)
        uploading[1].write(b"12345678")
        assert (await uploading[0].readuntil(b"yes")).startswith(b"HTTP/1.1 200 ")
        for _, writer in (uploading, idle, third):
            writer.close()


async def test_too_many_connections_close_one_of_the_client_that_has_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_limit, "MAX_CONNECTIONS", 3)
    app = BodyReader()
    async with running_server(app) as port:
        other = await connect(port, "127.0.0.2")
        await answer(other)
        await app.started.acquire()
        first, second = [await connect(port) for _ in range(2)]
        for streams in (first, second):
            await app.begin_upload(streams)
        third = await connect(port, "127.0.0.3")
        assert await is_closed(first)
        for streams in (other, third):
            assert (await answer(streams)).startswith(b"HTTP/1.1 200 ")
        for _, writer in (other, first, second, third):
            writer.close()
