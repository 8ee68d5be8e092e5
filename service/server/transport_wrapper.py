"""Wrappers of a transport: for a protocol, and for the responses of a connection."""

import asyncio
from collections.abc import Callable
from typing import Any


class TransportWrapper:
    """Ignores calls after the transport was closed, where uvloop raises a RuntimeError.

    In a flood of requests with `Expect: 100-continue`, the second write of a response met a closed
    transport before the application was notified, and ended in a traceback.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._write = transport.write
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (all else is the transport's)
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, unless the transport is closing."""
        if not self.is_closing():
            self._write(data)

    def write_eof(self) -> None:
        """End writing, unless the transport is closing."""
        if not self.is_closing():
            self._transport.write_eof()

    def pause_reading(self) -> None:
        """Pause reading, unless the transport is closing."""
        if not self.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Resume reading, unless the transport is closing."""
        if not self.is_closing():
            self._transport.resume_reading()


class ResponseTransport(TransportWrapper):
    """The transport of responses: `close`, after the last one, is what the protocol makes of it."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        super().__init__(transport)
        self.close = close

    def release(self) -> None:
        """Let `close` be that of the transport, without a reference to the protocol."""
        self.close = self._transport.close
