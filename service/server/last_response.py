"""Close a connection after its last response so that the client receives this response."""

import asyncio
from typing import cast

from oodguard.service.server.header_limits import HeaderLimitProtocol
from oodguard.service.server.transport_wrapper import ResponseTransport


class LastResponseProtocol(HeaderLimitProtocol):
    """Uvicorn's protocol, which receives the rest of a body before it closes the connection.

    The system resets a connection that is closed while received bytes are unread, and discards the
    response: a client with `Connection: close`, or of HTTP/1.0, that sends its whole body first
    lost the reason why it was rejected. The rest is discarded unparsed: no request behind it is
    processed.
    """

    _responses: ResponseTransport
    _is_shut_down = False
    _discards = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the responses a transport of their own."""
        super().connection_made(transport)
        self._responses = ResponseTransport(transport, self._close_after_response)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release this protocol, which the transport of responses refers to."""
        super().connection_lost(exc)
        self._responses.release()

    def data_received(self, data: bytes) -> None:
        """Parse the received bytes, or discard them."""
        if self._discards:
            self._discard(len(data))
        else:
            HeaderLimitProtocol.data_received(self, data)

    def start_request(self) -> None:
        """Start a request whose response may be the last one."""
        HeaderLimitProtocol.start_request(self)
        self.cycle.transport = cast("asyncio.Transport", self._responses)

    def shutdown(self) -> None:
        """Close the connection now, or after the response without the rest of a body."""
        self._is_shut_down = True
        super().shutdown()

    def _close_after_response(self) -> None:
        """Close the connection, or discard the rest of a body before.

        Nothing is sent after the response, so that the client sees its end, and closes the
        connection of a chunked body, whose end is not parsed. A body that waits for a 100
        (Continue) will not come.
        """
        is_expected = self.in_body and (self._chunks or not self.expect_100_continue)
        if not (is_expected and self.cycle.response_complete) or (
            self._input_ended or self._is_shut_down
        ):
            self.transport.close()
            return
        self._discards = True
        self.transport.write_eof()
        # Uvicorn's timer of idle connections does not apply: `HeaderLimitProtocol` has another one.
        self.loop.call_soon(self._unset_keepalive_if_required)
        waiting, self._received = len(self._received), b""
        self.flow.set_requests_wait(wait=False)
        self._discard(waiting)

    def _discard(self, count: int) -> None:
        """Discard bytes of a body, and close the connection at its end if that is known."""
        if self._body_bytes:
            self._body_bytes -= min(count, self._body_bytes)
            if not self._body_bytes:
                self.transport.close()
