"""Serve with a concurrency limit that is reached."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.types import Receive, Scope, Send

from oodguard.service.app import create_app
from oodguard.service.readiness import Readiness
from oodguard.service.settings import Settings
from tests.service.conftest import Gate
from tests.service.pictures import encode, plain
from tests.service.server.http_server import running_server

BODY = encode(plain())
CONTENT = b"Content-Type: image/png\r\nContent-Length: %d\r\n" % len(BODY)


@dataclass(frozen=True)
class RawResponse:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, head: bytes, body: bytes = b"") -> RawResponse:
        self.writer.write(head + b"\r\n" + body)
        return await self.response()

    async def response(self) -> RawResponse:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)
        first, *lines = head.decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return RawResponse(int(first.split()[1]), headers, body)


def head(target: bytes = b"/predict", *, method: bytes = b"POST", more: bytes = b"") -> bytes:
    return b"%s %s HTTP/1.1\r\nHost: guard\r\nX-Request-Id: one\r\n%s" % (method, target, more)


@dataclass
class FullService:
    """A service at its concurrency limit.

    Attributes:
        received: The requests that the application received since then.
    """

    port: int
    received: list[str]
    readiness: Readiness
    connections: list[Connection] = field(default_factory=list)

    async def connect(self) -> Connection:
        connection = Connection(*await asyncio.open_connection("127.0.0.1", self.port))
        self.connections.append(connection)
        return connection

    async def close(self) -> None:
        for connection in self.connections:
            connection.writer.close()
            await connection.writer.wait_closed()


@asynccontextmanager
async def full_service(  # noqa: PLR0913 - keyword-only
    folder: Path,
    gate: Gate,
    *,
    headers: bytes = b"",
    keys_file: Path | None = None,
    places: int = 1,
    held: int = 1,
) -> AsyncIterator[FullService]:
    """Serve with a concurrency limit of `places`, of which `held` requests are in flight."""
    settings = Settings(bundle=folder, max_pending=places, keys_file=keys_file)
    app = create_app(settings, readiness := Readiness())
    received: list[str] = []

    async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            received.append(f"{scope['method']} {scope['path']}")
        await app(scope, receive, send)

    async with running_server(recorded, app.state.load_shedding) as port:
        service = FullService(port, received, readiness)
        waiting = [await service.connect() for _ in range(held)]
        for each in waiting:
            each.writer.write(head(more=CONTENT + headers) + b"\r\n" + BODY)
        assert await asyncio.to_thread(gate.entered.wait, 20)
        while len(received) < held:
            await asyncio.sleep(0.001)
        received.clear()
        try:
            yield service
        finally:
            gate.opened.set()
        for each in waiting:
            assert (await each.response()).status == 200
        later = await service.connect()
        assert (await later.send(head(more=CONTENT + headers), BODY)).status == 200
        await service.close()
