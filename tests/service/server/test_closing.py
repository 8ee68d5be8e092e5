"""Responses that close the connection reach a client that sends its whole body first."""

import asyncio
import socket
import time

import pytest
from starlette.responses import PlainTextResponse

from oodguard.service.server import header_limits
from tests.service.server.http_server import running_server

BODY = bytes(5 * 2**20)
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

pytestmark = pytest.mark.anyio


async def answer_to(*parts: bytes, pause_s: float = 0) -> tuple[bytes, float]:
    """Send parts to an app that answers at once; return the response, and the seconds until EOF."""

    def exchange(port: int) -> tuple[bytes, float]:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            for part in parts:
                client.sendall(part)
                time.sleep(pause_s)
            started, received = time.monotonic(), b""
            while found := client.recv(2**16):
                received += found
            return received, time.monotonic() - started

    async with running_server(PlainTextResponse("no", 422)) as port:
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
    received, _ = await answer_to(head, body[:1000], body[1000:], pause_s=pause_s)
    assert received.startswith(b"HTTP/1.1 422 ")
    assert received.endswith(b"\r\n\r\nno")


async def test_closing_response_does_not_wait_for_a_body_that_is_only_sent_on_request() -> None:
    head = (
        b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    )
    received, seconds = await answer_to(head)
    assert received.startswith(b"HTTP/1.1 422 ")
    assert seconds < header_limits.IGNORED_BODY_TIMEOUT_S / 2


async def test_closing_response_waits_a_limited_time_for_the_rest_of_a_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(header_limits, "IGNORED_BODY_TIMEOUT_S", 0.1)
    head = b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 9\r\n\r\n"
    received, _ = await answer_to(head)
    assert received.endswith(b"\r\n\r\nno")
