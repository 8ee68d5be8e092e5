"""Responses that close the connection reach a client that sends its whole body first."""

import asyncio
import socket
import time

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from oodguard.service.server import header_limits
from tests.service.server.http_server import running_server

BODY = bytes(5 * 2**20)
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

pytestmark = pytest.mark.anyio


class Refusal:
    """An app that answers at once, without reading the body."""

    def __init__(self) -> None:
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.requests += 1
            await PlainTextResponse("no", 422)(scope, receive, send)


async def answer_to(*parts: bytes, pause_s: float = 0, app: Refusal | None = None) -> bytes:
    """Send parts to an app that answers at once; return what is received until the end.

    Each wait for it is limited to a second.
    """

    def exchange(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port)) as client:
            for part in parts:
                client.sendall(part)
                time.sleep(pause_s)
            received = b""
            client.settimeout(1)
            while found := client.recv(2**16):
                received += found
            return received

    async with running_server(app or Refusal()) as port:
        return await asyncio.to_thread(exchange, port)


@pytest.mark.parametrize(
    ("version", "headers", "body"),
    [
        ("1.1", f"Connection: close\r\nContent-Length: {len(BODY)}", BODY),
        ("1.1", "Connection: close\r\nTransfer-Encoding: chunked", CHUNKED),
        ("1.0", f"Content-Length: {len(BODY)}", BODY),
    ],
)
@pytest.mark.parametrize("pause_s", [0, 0.1])
async def test_closing_response_reaches_a_client_that_sends_its_body_first(
    version: str, headers: str, body: bytes, pause_s: float
) -> None:
    head = f"POST / HTTP/{version}\r\nHost: guard\r\n{headers}\r\n\r\n".encode()
    received = await answer_to(head, body[:1000], body[1000:], pause_s=pause_s)
    assert received.startswith(b"HTTP/1.1 422 ")
    assert received.endswith(b"\r\n\r\nno")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    ("headers", "body"),
    [("Content-Length: 3", b"abc"), ("Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n")],
)
async def test_request_behind_a_closing_response_is_not_processed(
    version: str, headers: str, body: bytes
) -> None:
    app = Refusal()
    connection = "close" if version == "1.1" else "keep-alive"
    head = f"POST / HTTP/{version}\r\nConnection: {connection}\r\n{headers}\r\n\r\n".encode()
    following = b"GET / HTTP/1.1\r\nHost: guard\r\n\r\n"
    received = await answer_to(head + body[:1], body[1:] + following, pause_s=0.1, app=app)
    assert received.count(b"HTTP/1.1 422 ") == app.requests == 1


@pytest.mark.parametrize(
    "headers", [b"Content-Length: 9\r\nExpect: 100-continue", b"Content-Length: 9"]
)
async def test_closing_response_ends_for_a_client_that_does_not_send_its_body(
    headers: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(header_limits, "IGNORED_BODY_TIMEOUT_S", 0.1)
    received = await answer_to(b"POST / HTTP/1.1\r\nConnection: close\r\n%s\r\n\r\n" % headers)
    assert received.endswith(b"\r\n\r\nno")


@pytest.mark.parametrize("is_expected", [False, True])
async def test_connection_is_open_after_a_closing_response_only_while_a_body_may_arrive(
    monkeypatch: pytest.MonkeyPatch, *, is_expected: bool
) -> None:
    monkeypatch.setattr(header_limits, "IGNORED_BODY_TIMEOUT_S", 0.3)
    more = b"" if is_expected else b"Expect: 100-continue\r\n"
    async with running_server(Refusal()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 9\r\n%s\r\n" % more)
        assert (await reader.read()).endswith(b"no")
        # A closed connection answers the first write with a reset, and the second one fails.
        written = 0
        with pytest.raises((ConnectionResetError, BrokenPipeError)):  # noqa: PT012
            for number in range(9):
                written = number
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.1)
        assert (written >= 3) == is_expected
        writer.close()
