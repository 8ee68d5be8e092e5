"""Accept connections of a listening socket that several worker processes share.

The system wakes all workers for a connection, and the first one accepts it. Left alone, a worker
that is quick takes most of a few kept connections, and libuv takes all that wait at once. Here a
worker accepts one connection in a turn of its event loop, and one that has more connections than
another leaves it to that for a millisecond. A connection that no worker has accepted stays in the
common backlog, so none is lost if a worker ends. With SO_REUSEPORT, the backlog of that worker
would be lost, and a hash would spread four connections over two workers evenly in three of eight
cases.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Protocol

# Long enough for a worker that waits for events to accept, short enough to go unnoticed.
DEFER_S = 0.001

# After a lack of file descriptors or memory, as asyncio does.
RETRY_S = 1.0

NO_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Balance(Protocol):
    """The connections of the workers."""

    def has_most_connections(self) -> bool:
        """Return whether another worker that accepts connections has fewer."""

    def set_connections(self, connections: int) -> None:
        """Set the number of connections of this worker."""

    def set_serves(self, *, serves: bool) -> None:
        """State whether this worker accepts connections."""


class SharedListener:
    """Accepts connections, and has the methods of `asyncio.Server` that uvicorn calls.

    Args:
        listener: The listening socket.
        create_protocol: Creates the protocol of a connection.
        balance: The connections of the workers.
        connections: Returns the number of open connections of this worker.
    """

    def __init__(
        self,
        listener: socket.socket,
        create_protocol: Callable[[], asyncio.Protocol],
        balance: Balance,
        connections: Callable[[], int],
    ) -> None:
        self._listener = listener
        self._create_protocol = create_protocol
        self._balance = balance
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._closed = False

    def start(self) -> None:
        """Begin to accept connections."""
        self._balance.set_serves(serves=True)
        self._loop.add_reader(self._listener, self._accept_or_defer)

    def close(self) -> None:
        """Accept no more connections."""
        self._closed = True
        self._balance.set_serves(serves=False)
        self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Wait for the connections that are being opened."""
        await asyncio.gather(*self._opening, return_exceptions=True)

    def _accept_or_defer(self) -> None:
        if self._balance.has_most_connections():
            self._pause(DEFER_S)
        else:
            self._accept()

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._loop.call_later(seconds, self._accept_after_all)

    def _accept_after_all(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listener, self._accept_or_defer)
            self._accept()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            # Otherwise another worker was faster, or the client has gone.
            if error.errno in NO_RESOURCES:
                self._pause(RETRY_S)
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._open(connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        self._balance.set_connections(self._connections() + len(self._opening))

    async def _open(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._create_protocol, connection)
        except OSError:
            connection.close()
