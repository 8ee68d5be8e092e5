"""Limit the number of open connections."""

import asyncio
import resource
from collections import Counter
from collections.abc import MutableMapping
from typing import ClassVar, Protocol, cast

from oodguard.service.server.pipelining import PipeliningProtocol

# At this number unfinished headers take 180 MB, and endless bodies 890 MB (docs/abuse.md). Behind a
# proxy there are usually a few dozen connections.
MAX_CONNECTIONS = 1000

# For models, logs and stores, if the limit of open files is low.
RESERVED_FILES = 100


class ConnectionCounts(Protocol):
    """The numbers of open connections of the processes that serve together."""

    def set_connections(self, connections: int) -> None:
        """Set the number of this process."""

    def other_connections(self) -> int:
        """Return the number of the other processes."""


class ConnectionLimitProtocol(PipeliningProtocol):
    """Uvicorn's protocol, which closes a waiting connection if too many are open.

    A connection waits while its client has to act: to send a request, or to read a response.
    Which one is closed is decided in this order, so that a client without requests cannot reset
    the slow uploads of others:

    1. It belongs to the client that has the most connections.
    2. It is not one that sends the body of a request, unless all do.
    3. It is the one that waits longest.

    Attributes:
        max_connections: The maximum number of open connections.
        counts: The numbers of the processes that serve together; None: there is only this one.
        waiting: The connections that wait, in the order in which they began to.
    """

    max_connections: ClassVar[int]
    counts: ClassVar[ConnectionCounts | None] = None
    waiting: ClassVar[MutableMapping["ConnectionLimitProtocol", None]]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Close a connection if there are too many."""
        super().connection_made(transport)
        if self._open_connections() > self.max_connections:
            surplus = self._surplus()
            surplus.set_waits(wait=False)
            surplus.transport.abort()
        self.set_waits(wait=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection."""
        self.set_waits(wait=False)
        super().connection_lost(exc)
        self._open_connections()

    def on_message_complete(self) -> None:
        """End the body; now the application has to act, unless it has already answered."""
        PipeliningProtocol.on_message_complete(self)
        if self.is_answering():
            self.waiting.pop(self, None)

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it has arrived, or for the client to read."""
        PipeliningProtocol.on_response_complete(self)
        self.set_waits(wait=self.flow.write_paused or not self.is_answering())

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self.set_waits(wait=True)

    def resume_writing(self) -> None:
        """Continue to write."""
        super().resume_writing()
        self.set_waits(wait=not self.is_answering())

    def sends_body(self) -> bool:
        """Return whether the client sends a body that the application has not rejected."""
        return self.in_body and self.is_answering()

    def _surplus(self) -> "ConnectionLimitProtocol":
        """Return the connection to close: this one if its client has most and no other waits."""
        open_of = Counter(cast("ConnectionLimitProtocol", each).peer for each in self.connections)
        most = max((open_of[each.peer] for each in self.waiting), default=0)
        if open_of[self.peer] > most:
            return self
        candidates = [each for each in self.waiting if open_of[each.peer] == most]
        return next((each for each in candidates if not each.sends_body()), candidates[0])

    def _open_connections(self) -> int:
        """Return the number of open connections of all processes; the others see this one's."""
        mine = len(self.connections)
        if self.counts is None:
            return mine
        self.counts.set_connections(mine)
        return mine + self.counts.other_connections()

    def set_waits(self, *, wait: bool) -> None:
        """State whether the connection waits for its client."""
        self.waiting.pop(self, None)
        if wait and not self.transport.is_closing():
            self.waiting[self] = None


def max_connections() -> int:
    """Return the maximum number of connections, which the limit of open files may reduce."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, files - RESERVED_FILES))
