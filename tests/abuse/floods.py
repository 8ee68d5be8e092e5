"""Hostile clients that are more than one request: what they send, and on how many connections."""

import asyncio
import itertools
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tests.service.pictures import encode, plain

SEND_TIMEOUT_S = 1.0
PIECE_BYTES = 2**16

HOST = b" HTTP/1.1\r\nHost: guard\r\n"
CHUNKED = b"Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
POST = b"POST /predict" + HOST
PICTURE = encode(plain())


@dataclass(frozen=True, kw_only=True, slots=True)
class Flood:
    """The bytes of a client that sends without end: a start, and a part that it repeats.

    Attributes:
        name: Unique.
        start: Sent once.
        repeated: Sent again and again; empty: the client sends nothing more.
        reads: Whether the client reads what the server sends.
        half_closes: Whether the client closes its side after the start.
    """

    name: str
    start: bytes = b""
    repeated: bytes = b""
    reads: bool = False
    half_closes: bool = False

    def pieces(self, max_bytes: int) -> Iterator[bytes]:
        """Yield about `max_bytes` bytes in pieces of `PIECE_BYTES`."""
        if self.start:
            yield self.start
        if self.repeated:
            piece = self.repeated * max(1, PIECE_BYTES // len(self.repeated))
            yield from itertools.repeat(piece, max(1, max_bytes // len(piece)))


def get(path: bytes, *lines: bytes) -> bytes:
    """Return a GET request."""
    return b"GET " + path + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def floods() -> Sequence[Flood]:
    """Return the known attacks on the HTTP protocol."""
    body = POST + b"Content-Type: image/png\r\nContent-Length: %d\r\n\r\n"
    last_chunk = b"1\r\nx\r\n0\r\n"
    rejected = b"PUT /predict" + HOST + CHUNKED + last_chunk
    lines = b"".join(b"a%d: b\r\n" % number for number in range(5000))
    return [
        Flood(name="nothing"),
        Flood(name="half a head", start=POST[:-2]),
        Flood(name="half a head of many lines", start=POST + lines),
        Flood(name="half a head of one line", start=POST + b"a: " + bytes([98]) * 60_000),
        Flood(name="half a head of a long path", start=b"GET /" + b"a" * 60_000),
        Flood(name="half a head, then half-closed", start=POST[:-2], half_closes=True),
        Flood(name="endless lines", start=POST, repeated=b"a: b\r\n"),
        Flood(name="blank lines", repeated=b"\r\n"),
        Flood(name="blank lines after a request", start=get(b"/healthz"), repeated=b"\r\n"),
        Flood(name="trailers", start=POST + CHUNKED + last_chunk, repeated=b"a: b\r\n"),
        Flood(name="trailers after a 405", start=rejected, repeated=b"a: b\r\n"),
        Flood(name="trailers after a 405, read", start=rejected, repeated=b"a: b\r\n", reads=True),
        Flood(name="a trailer's value", start=POST + CHUNKED + last_chunk + b"a: ", repeated=b"b"),
        Flood(name="a trailer's value after a 405", start=rejected + b"a: ", repeated=b"b"),
        Flood(name="a trailer's name after a 405", start=rejected, repeated=b"b"),
        Flood(name="a chunk's extension", start=POST + CHUNKED + b"1;", repeated=b"e"),
        Flood(name="a chunk's zeros", start=POST + CHUNKED, repeated=b"0"),
        Flood(name="chunks of a byte", start=POST + CHUNKED, repeated=b"1\r\nx\r\n"),
        Flood(
            name="chunks with extensions",
            start=POST + CHUNKED,
            repeated=b"1;" + b"e" * 1000 + b"\r\nx\r\n",
        ),
        Flood(name="blank lines in chunks", start=POST + CHUNKED, repeated=b"4\r\n\r\n\r\n\r\n"),
        Flood(name="a body of 8 EiB", start=body % (2**63 - 1), repeated=b"x"),
        Flood(name="a body after a 405", start=b"PUT" + body[4:] % 2**40, repeated=b"x"),
        Flood(name="a body of 60 kB, unfinished", start=body % 60_001 + bytes(60_000)),
        Flood(
            name="a body of a GET",
            start=get(b"/healthz", b"Content-Length: 99999999999"),
            repeated=b"x",
        ),
        Flood(name="pipelined /healthz", repeated=get(b"/healthz")),
        Flood(name="pipelined short requests", repeated=b"GET / HTTP/1.1\r\n\r\n"),
        Flood(name="pipelined /healthz, read", repeated=get(b"/healthz"), reads=True),
        Flood(name="pipelined /models", repeated=get(b"/models")),
        Flood(name="pipelined /metrics", repeated=get(b"/metrics")),
        Flood(name="pipelined /openapi.json", repeated=get(b"/openapi.json")),
        Flood(name="pipelined static files", repeated=get(b"/docs/swagger-ui-bundle.js")),
        Flood(name="pipelined short lines", repeated=get(b"/healthz", *[b"a:b"] * 1000)),
        Flood(name="pipelined pictures", repeated=body % len(PICTURE) + PICTURE),
        Flood(name="pipelined bodies", repeated=body % 30_000 + bytes(30_000)),
        Flood(name="pipelined after a body", repeated=body % 1 + b"x" + get(b"/") * 3000),
        Flood(name="pipelined behind an unfinished one", start=body % 10**9, repeated=get(b"/")),
        Flood(
            name="pipelined expectations",
            repeated=body.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n") % 1 + b"x",
        ),
        Flood(
            name="an expectation and no body",
            start=body.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n") % 100,
        ),
        Flood(
            name="an upgrade",
            start=get(b"/healthz", b"Connection: Upgrade", b"Upgrade: websocket"),
            repeated=b"x",
        ),
        Flood(
            name="pipelined upgrades",
            repeated=get(b"/healthz", b"Connection: Upgrade", b"Upgrade: h2c"),
        ),
        Flood(name="a tunnel", start=b"CONNECT guard:443" + HOST + b"\r\n", repeated=b"x"),
        Flood(name="no HTTP", repeated=b"\xff\x00"),
    ]


async def send(address: tuple[str, int], flood: Flood, *, connections: int, max_bytes: int) -> int:
    """Send a flood over several connections at once; close them after the last one has finished.

    A connection has finished when everything was sent, when the server closed it, or when the
    server has not read for some time.

    Returns:
        The bytes that were sent over all connections.
    """
    sent = await asyncio.gather(
        *(_send(address, flood, max_bytes) for _ in range(connections)), return_exceptions=True
    )
    total = 0
    for each in sent:
        if isinstance(each, BaseException):
            raise each
        connection, count = each
        total += count
        connection.close()
    return total


async def _send(
    address: tuple[str, int], flood: Flood, max_bytes: int
) -> tuple[socket.socket, int]:
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setblocking(False)
    await loop.sock_connect(connection, address)
    sent = 0
    reader = asyncio.create_task(_read(connection)) if flood.reads else None
    with suppress(TimeoutError, OSError):
        for piece in flood.pieces(max_bytes):
            await asyncio.wait_for(loop.sock_sendall(connection, piece), SEND_TIMEOUT_S)
            sent += len(piece)
        if flood.half_closes:
            connection.shutdown(socket.SHUT_WR)
    if reader is not None:
        reader.cancel()
        await asyncio.wait([reader])
    return connection, sent


async def _read(connection: socket.socket) -> None:
    with suppress(OSError):
        while await asyncio.get_running_loop().sock_recv(connection, PIECE_BYTES):
            pass
