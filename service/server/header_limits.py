"""Limit the size and the arrival time of a request's line and headers."""

import asyncio
import uuid
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from oodguard.service.api.problems import HEADERS_TOO_LARGE, PROBLEM_JSON, problem_body

# Request line and headers together. Browsers and proxies send a few thousand bytes.
MAX_HEADER_BYTES = 65_536

# From the connection for its first request, from the first byte for later ones.
HEADER_TIMEOUT_S = 10.0


class HeadersTooLarge(Exception):
    """Stops the parser at complete headers that are too large; never leaves the protocol."""


class HeaderLimitProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with a size limit (431) and a timeout for the headers.

    Uvicorn buffers headers without a limit and waits for them without a timeout: one header of
    200 MB blocked the event loop for 49 s, and two million short headers took 400 MB.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._in_headers = True
        # Received bytes of the headers, plus at most one read that belongs to what follows.
        self._header_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout of the first request."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timeout."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the received bytes, and reject the request once its headers are too large."""
        if self._in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._in_headers:
            self._stop_timer()
        elif self._header_bytes > MAX_HEADER_BYTES:
            self.send_400_response("")
        elif self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        """Begin the headers of a request."""
        super().on_message_begin()
        self._in_headers = True

    def on_headers_complete(self) -> None:
        """End the headers; reject them if they arrived in one read and are too large."""
        if self._header_bytes > MAX_HEADER_BYTES:
            lines = sum(len(name) + len(value) + 4 for name, value in self.headers)
            if len(self.url) + lines > MAX_HEADER_BYTES:
                raise HeadersTooLarge
        self._in_headers = False
        self._header_bytes = 0
        self.start_request()

    def start_request(self) -> None:
        """Start a request whose headers are complete and within the limit."""
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Send 431 if the headers are too large, else uvicorn's 400; close the connection."""
        if self._header_bytes <= MAX_HEADER_BYTES:
            super().send_400_response(msg)
            return
        identifier = uuid.uuid4().hex
        detail = (
            f"the request line and headers have more than {MAX_HEADER_BYTES} bytes,"
            f" expected at most {MAX_HEADER_BYTES}"
        )
        body = problem_body(HEADERS_TOO_LARGE, detail, identifier)
        headers = (
            f"content-type: {PROBLEM_JSON}\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {identifier}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[HEADERS_TOO_LARGE.status] + headers.encode() + body)
        self.transport.close()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(HEADER_TIMEOUT_S, self._on_timeout)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timeout(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
