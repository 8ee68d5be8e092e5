"""Limit the size and the arrival time of a request's line, headers, trailers and small chunks."""

import asyncio
import uuid

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from oodguard.service.api.problem_types import HEADERS_TOO_LARGE
from oodguard.service.api.problems import PROBLEM_JSON, problem_body
from oodguard.service.server.unread_responses import UnreadResponseProtocol

# Request line and headers together. Browsers and proxies send a few thousand bytes.
MAX_HEADER_BYTES = 65_536

# Browsers and proxies send some dozen lines. A line of 5 bytes takes about 200 in Python.
MAX_HEADER_LINES = 256

# Decoding and matching a longer path, or splitting a longer query, takes up to 30 ms. RFC 9110,
# section 4.1 recommends at least 8,000.
MAX_TARGET_BYTES = 8192

# From the connection for its first request, from the first byte for later ones.
HEADER_TIMEOUT_S = 10.0

# For the rest of a body whose request was answered, usually rejected, before it was complete.
IGNORED_BODY_TIMEOUT_S = 30.0


# Each chunk takes some microseconds in Python, however small it is. A chunk counts by how much it
# is smaller than the size below, and a larger one reduces the count, to no less than zero.
MAX_SMALL_CHUNKS = 1000

# The first chunks of a body do not count, because the bodies of most requests have few.
UNCOUNTED_CHUNKS = 16

SMALL_CHUNK_BYTES = 64

# Of a body whose request was answered: nothing of it is used.
IGNORED_SMALL_CHUNK_BYTES = 4096


class ChunksTooSmall(Exception):
    """Stops the parser at a body of too many small chunks; never leaves the protocol."""


class HeadersTooLarge(Exception):
    """Stops the parser at headers or trailers that are too large; never leaves the protocol."""


class HeaderLimitProtocol(UnreadResponseProtocol):
    """Uvicorn's protocol with a size limit (431) and a timeout for headers and trailers.

    Uvicorn buffers headers without a limit and waits for them without a timeout: one header of
    200 MB blocked the event loop for 49 s, and two million short headers took 400 MB. It adds the
    trailers of a chunked body to the headers, also after the response.
    """

    # Received since the last byte of a body, or since the end of headers or of a request: headers,
    # trailers, sizes and extensions of chunks, blank lines.
    _bytes_between_bodies = 0
    _trailer_bytes = 0
    _chunks = 0
    _small_chunks = 0.0
    _too_large = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout of the first request."""
        super().connection_made(transport)
        self._update_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timeout."""
        self._stop_timer()
        super().connection_lost(exc)

    def parse(self, piece: bytes) -> None:
        """Parse a piece, and end the connection if its headers or trailers are too large."""
        self._bytes_between_bodies += len(piece)
        # A piece of a body that is not chunked may be small too.
        self._small_chunks -= 1
        UnreadResponseProtocol.parse(self, piece)
        if self.request_complete:
            self._bytes_between_bodies = 0
            self._stop_timer()
        if self._bytes_between_bodies > MAX_HEADER_BYTES and not self.transport.is_closing():
            self._too_large = True
            self.send_400_response("")

    def on_parsed(self) -> None:
        """Start or stop the timeout."""
        if (self._timer or not self.is_answering()) and not self.transport.is_closing():
            self._update_timer()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; count and ignore a trailer, which must not have the effect of a header."""
        if self.in_body or len(self.headers) >= MAX_HEADER_LINES:
            self._trailer_bytes += _line_bytes(name, value)
            self._require(self.in_body and self._trailer_bytes <= MAX_HEADER_BYTES)
            return
        # As uvicorn does; a call of its method for each line would take 1 us for a request.
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            # RFC 9110, section 10.1.1: a client of HTTP/1.0 cannot read an interim response.
            self.expect_100_continue = self.parser.get_http_version() == "1.1"
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Start the request, if its headers are not too large."""
        self._require(len(self.url) <= MAX_TARGET_BYTES)
        if self._bytes_between_bodies > MAX_HEADER_BYTES:
            lines = sum(_line_bytes(name, value) for name, value in self.headers)
            self._require(len(self.url) + lines <= MAX_HEADER_BYTES)
        self._bytes_between_bodies = self._trailer_bytes = 0
        self._chunks = 0
        self._small_chunks = 0.0
        UnreadResponseProtocol.on_headers_complete(self)

    def on_body(self, body: bytes) -> None:
        """Add to the body; stop the parser if too many of its chunks are small."""
        self._bytes_between_bodies = 0
        self._chunks += 1
        if self._chunks > UNCOUNTED_CHUNKS:
            self._count_small_chunk(len(body))
        UnreadResponseProtocol.on_body(self, body)

    def on_response_complete(self) -> None:
        """Start the timeout of a body that is not complete, which is now ignored."""
        UnreadResponseProtocol.on_response_complete(self)
        if (
            not self._is_parsing
            and (self.in_body or self._timer)
            and not self.transport.is_closing()
        ):
            self._update_timer()

    def send_400_response(self, msg: str) -> None:
        """Send 431 if the headers are too large, else uvicorn's 400; close the connection."""
        if not self._too_large:
            super().send_400_response(msg)
            return
        if not self.end_input():
            return
        identifier = uuid.uuid4().hex
        detail = (
            "the request line and headers, or the trailers, are too large: expected at most"
            f" {MAX_HEADER_BYTES} bytes and {MAX_HEADER_LINES} header lines, and a target of at"
            f" most {MAX_TARGET_BYTES} bytes"
        )
        body = problem_body(HEADERS_TOO_LARGE, detail, identifier)
        headers = (
            f"content-type: {PROBLEM_JSON}\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {identifier}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[HEADERS_TOO_LARGE.status] + headers.encode() + body)
        self.transport.close()

    def _count_small_chunk(self, received_bytes: int) -> None:
        size = SMALL_CHUNK_BYTES if self.is_answering() else IGNORED_SMALL_CHUNK_BYTES
        self._small_chunks = max(0.0, self._small_chunks + 1 - received_bytes / size)
        if self._small_chunks > MAX_SMALL_CHUNKS:
            raise ChunksTooSmall

    def _require(self, condition: bool) -> None:
        """Stop the parser if a limit is exceeded."""
        if not condition:
            self._too_large = True
            raise HeadersTooLarge

    def _update_timer(self) -> None:
        """Run the timeout while headers, or a body that is ignored, have to arrive.

        The time of a response is limited by the application, and that of an idle connection by
        uvicorn, whose timer every received byte stops.
        """
        is_idle = self.timeout_keep_alive_task is not None and not self.in_body
        if self.is_answering() or is_idle:
            self._stop_timer()
        elif self._timer is None:
            timeout_s = IGNORED_BODY_TIMEOUT_S if self.in_body else HEADER_TIMEOUT_S
            self._timer = self.loop.call_later(timeout_s, self._on_timeout)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timeout(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def _line_bytes(name: bytes, value: bytes) -> int:
    return len(name) + len(value) + 4
