"""Parse the requests of a connection one at a time, and stop reading while others wait."""

import asyncio
import contextvars
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

END_OF_HEADERS = b"\r\n\r\n"

# The end of headers is searched behind the shortest request line, so that blank lines cost little.
MIN_HEADER_PIECE_BYTES = len(b"GET / HTTP/1.1")

# At least this much of a body is parsed at once, so that a body of blank lines costs little time.
# It is also how much may follow a body in one piece: at most 14 of the shortest requests.
MIN_BODY_PIECE_BYTES = 256


class UnsupportedTransferEncoding(Exception):
    """Stops the parser at a transfer coding other than chunked; never leaves the protocol."""


class OpenTransport:
    """A transport that does nothing after it was closed, where uvloop raises a RuntimeError.

    In a flood of requests with `Expect: 100-continue`, the second write of a response met a closed
    transport before the application was notified, and ended in a traceback.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (all else is the transport's)
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, unless the transport is closing."""
        if not self.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Pause reading, unless the transport is closing."""
        if not self.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Resume reading, unless the transport is closing."""
        if not self.is_closing():
            self._transport.resume_reading()


class PausableFlow(FlowControl):
    """Uvicorn's flow control, which does not resume reading while requests wait.

    Attributes:
        requests_wait: Whether received bytes wait for the response to an earlier request.
    """

    requests_wait = False

    def resume_reading(self) -> None:
        """Resume reading, unless requests wait."""
        if not self.requests_wait:
            super().resume_reading()

    def set_requests_wait(self, *, wait: bool) -> None:
        """Pause reading when requests begin to wait, and resume it when none waits any more."""
        if wait != self.requests_wait:
            self.requests_wait = wait
            if wait:
                self.pause_reading()
            else:
                self.resume_reading()


class PipeliningProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, which parses a request once the one before it was answered.

    Uvicorn parses all that it reads, and reads on after every response: 1.2 million pipelined
    requests took 2 GB. Here the received bytes wait unparsed, and nothing more is read. A piece of
    them ends with the headers of a request, so that at most a few requests are parsed too early.
    """

    flow: PausableFlow

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._received = b""
        self._is_parsing = False
        self._request_complete = False
        # Whether input is ignored, because its meaning is unknown.
        self._input_ended = False
        self.in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Replace uvicorn's flow control, and let a closed transport do nothing."""
        open_transport = cast("asyncio.Transport", OpenTransport(transport))
        super().connection_made(open_transport)
        self.flow = PausableFlow(open_transport)

    def is_answering(self) -> bool:
        """Return whether a request of the connection has not been answered completely."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Parse the received bytes, or let them wait for the response to an earlier request."""
        self._received += data
        self._parse_received()

    def parse(self, piece: bytes) -> None:
        """Parse a piece of the received bytes."""
        super().data_received(piece)

    def on_parsed(self) -> None:
        """Do what is due after received bytes were parsed; by default nothing."""

    def _parse_received(self) -> None:
        """Parse until a request is complete, at most one in a turn of the event loop."""
        received, position = self._received, 0
        self._is_parsing, self._request_complete = True, False
        while position < len(received) and self._can_parse():
            min_bytes = MIN_BODY_PIECE_BYTES if self.in_body else MIN_HEADER_PIECE_BYTES
            end = received.find(END_OF_HEADERS, position + min_bytes)
            end = len(received) if end == -1 else end + len(END_OF_HEADERS)
            self.parse(received[position:end])
            position = end
        self._is_parsing = False
        self.on_parsed()
        if self._input_ended or self.transport.is_closing():
            self._received = b""
            return
        self._received = received[position:]
        self.flow.set_requests_wait(wait=bool(self._received or self.pipeline))
        if self._received and not self.is_answering():
            self._parse_later()

    def _can_parse(self) -> bool:
        if self._input_ended or self._request_complete or self.transport.is_closing():
            return False
        return not self.pipeline if self.in_body else not self.is_answering()

    def _parse_later(self) -> None:
        # Not in the context of the previous request.
        self.loop.call_soon(self._parse_received, context=contextvars.Context())

    def on_headers_complete(self) -> None:
        """Start the request; bytes after a request for another protocol are ignored."""
        # The parser decodes chunks and ignores other codings, such as those of gzip, chunked.
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if codings and [each.strip(b" \t").lower() for each in codings] != [b"chunked"]:
            raise UnsupportedTransferEncoding
        self.start_request()
        self.in_body = True
        if self.parser.should_upgrade():
            # The parser omits the body of such a request, and would read it as the next request.
            self.cycle.keep_alive = False
            self._input_ended = True

    def start_request(self) -> None:
        """Start a request whose headers are complete."""
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End the body."""
        super().on_message_complete()
        self.in_body = False
        self._request_complete = True

    def on_response_complete(self) -> None:
        """Continue with the requests that wait."""
        super().on_response_complete()
        if self.flow.requests_wait and not self._is_parsing:
            self._parse_later()

    def send_400_response(self, msg: str) -> None:
        """Send uvicorn's 400 for bytes that are not HTTP, if it is their turn."""
        if self.end_input():
            super().send_400_response(msg)

    def end_input(self) -> bool:
        """Ignore further input, and return whether an error response can be sent now.

        If not, the connection is closed: after the response to an earlier request, or at once if
        the response to this request has begun.
        """
        self._input_ended = True
        if not self.in_body:
            if self.is_answering():
                self.cycle.keep_alive = False
            return not self.is_answering()
        if self.cycle.response_complete or self.cycle.response_started or self.pipeline:
            self.transport.close()
            return False
        return True
