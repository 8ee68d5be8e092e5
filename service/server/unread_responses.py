"""Bound the memory of responses whose clients do not read them."""

import asyncio
import socket
import struct
from typing import ClassVar, cast

from starlette.types import Scope

from oodguard.service.client_address import network_of
from oodguard.service.errors import Overloaded
from oodguard.service.prediction.admission import Admission, Claim
from oodguard.service.server.connection_limit import ConnectionLimitProtocol

# Of a response, the system takes as much as the client may receive, and this. Left alone it takes
# 2.5 MB on each connection.
MAX_UNSENT_BYTES = 64 * 2**10

# Of a response that the system did not take, this much does not count towards the limit: on all
# connections together 16 MB.
MAX_UNCOUNTED_BYTES = 16 * 2**10

# A client on a mobile connection of 20 kbit/s is fast enough.
UNREAD_PERIOD_S = 30.0
MIN_READ_BYTES = 64 * 2**10

# Of SO_LINGER: close at once, without waiting for unsent bytes.
DISCARD = struct.pack("ii", 1, 0)


class UnreadResponseProtocol(ConnectionLimitProtocol):
    """Uvicorn's protocol, which bounds the bytes that were written and not taken by the system.

    They count towards a limit of all clients and of each address, from when writing pauses until it
    resumes. A connection is closed if its response exceeds the limit, and if its client reads less
    than `MIN_READ_BYTES` of it in `UNREAD_PERIOD_S`.

    Attributes:
        admission: The limits on what clients hold; None: unread bytes do not count.
    """

    admission: ClassVar[Admission | None] = None
    _unread: Claim | None = None
    _read_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let writing pause at `MAX_UNCOUNTED_BYTES`."""
        super().connection_made(transport)
        if not self.transport.is_closing():
            self.transport.set_write_buffer_limits(MAX_UNCOUNTED_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the response."""
        self._release_unread()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Count what was not taken; close the connection if it is too much."""
        super().pause_writing()
        self._release_unread()
        size = self.transport.get_write_buffer_size()
        self._read_timer = self.loop.call_later(UNREAD_PERIOD_S, self._check_progress, size)
        if self.admission is None:
            return
        self._unread = Claim(self.admission, self._address()).__enter__()
        try:
            self._unread.add("unread bytes", size)
        except Overloaded:
            self._reset()

    def resume_writing(self) -> None:
        """Release the response, and continue."""
        self._release_unread()
        super().resume_writing()

    def _address(self) -> str:
        """Return the address of the client: that of the request, or else the peer."""
        # Behind a proxy they differ. Uvicorn has no scope before the first request, although it
        # declares one.
        scope: Scope | None = cast("Scope | None", self.scope)
        address: str | None = scope["state"].get("client") if scope else None
        return self.peer if address is None else network_of(address)

    def _check_progress(self, previous: int) -> None:
        size = self.transport.get_write_buffer_size()
        if size > previous - MIN_READ_BYTES:
            self._reset()
        else:
            self._read_timer = self.loop.call_later(UNREAD_PERIOD_S, self._check_progress, size)

    def _reset(self) -> None:
        """Close the connection, and let the system discard what it has taken."""
        connection: socket.socket = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, DISCARD)
        self.transport.abort()

    def _release_unread(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None
        if self._unread is not None:
            self._unread.__exit__()
            self._unread = None


def limit_unread_responses(listener: socket.socket) -> None:
    """Let the system hold little of a response, and close connections whose clients read nothing.

    The time also holds for what the system has taken, and while the connection is being closed.
    """
    # Elsewhere the system holds more, and such a connection stays open until the limit of
    # connections closes it, unless more is written to it.
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = int(1000 * UNREAD_PERIOD_S)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
