"""HTTP's request line and headers, within bounds of size and time."""

import asyncio
import uuid
from typing import Any

import orjson
from uvicorn.config import Config
from uvicorn.server import ServerState

from service.http.door import Door, Doorkeeper

# Of a request line with its headers; browsers and proxies send a few thousand.
MOST_BYTES = 65_536
# For the first request from when the connection is there, for others from their first byte.
WITHIN_S = 10.0

REFUSAL = {
    "type": "/problems/request-header-fields-too-large",
    "title": "The headers have too many bytes",
    "status": 431,
    "detail": f"more than {MOST_BYTES} bytes came before the body; at most that many are taken",
}


class HeadTooLarge(Exception):
    """A whole head of too many bytes; it stops the parser, and goes no further."""


class BoundedHeads(Doorkeeper):
    """Uvicorn's protocol, which by itself collects headers without end and waits for them for ever.

    One header of 200 MB kept the event loop for 49 s, and two million short ones took 400 MB.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._in_head = True
        # As they came; at most one read more than belongs to the head.
        self._head_bytes = 0
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take the next bytes, unless the head has become too long by them."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._in_head:
            self._wait_no_more()
        elif self._head_bytes > MOST_BYTES:
            self.send_400_response("")
        elif self._waiting is None:
            self._wait()

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """End a head, and refuse one that came whole and is too long all the same."""
        if self._head_bytes > MOST_BYTES:
            lines = sum(len(name) + len(value) + 4 for name, value in self.headers)
            size = len(self.url) + lines
            if size > MOST_BYTES:
                raise HeadTooLarge
        self._in_head = False
        self._head_bytes = 0
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or too long."""
        if self._head_bytes <= MOST_BYTES:
            super().send_400_response(msg)
            return
        identifier = uuid.uuid4().hex
        body = orjson.dumps({**REFUSAL, "request_id": identifier})
        head = (
            "HTTP/1.1 431 Request Header Fields Too Large\r\n"
            "content-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {identifier}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(WITHIN_S, self._give_up)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def bounded_heads(behind: Door | None) -> type[BoundedHeads]:
    """Make the protocol of a service with a door of its own, or with none."""

    class Guarded(BoundedHeads):
        door = behind

    return Guarded
