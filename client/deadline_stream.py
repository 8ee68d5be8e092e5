"""Connections that end at the deadline of the request that uses them, or when it is cancelled.

The timeouts of httpx2 are those of single reads and writes: a server that sends one byte of the
headers at a time would hold a client without asyncio far beyond its deadline.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from ssl import SSLContext
from typing import Any

import httpcore2
import httpx2

from oodguard.client.retries import RequestDeadline

# A write sends everything that it is given, however long that takes.
_WRITE_BYTES = 64 * 1024


class Cancellation:
    """Ends requests whose results are no longer awaited, from any thread."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._used = set[socket.socket]()

    def cancel(self) -> None:
        """End all reads and writes, now and later."""
        with self._lock:
            self._cancelled.set()
            for each in self._used:
                # Not that of an SSLSocket, which is for one thread. A close would not end a read.
                with suppress(OSError):
                    socket.socket.shutdown(each, socket.SHUT_RDWR)

    def wait(self, seconds: float) -> bool:
        """Wait for a time, and return at once with True when cancelled."""
        return self._cancelled.wait(seconds)

    @contextmanager
    def ends(self, used: object, error: type[Exception]) -> Iterator[None]:
        """End the reads and writes of a socket in the block when cancelled.

        Raises:
            Exception: The requests are cancelled already.
        """
        if not isinstance(used, socket.socket):
            yield
            return
        with self._lock:
            if self._cancelled.is_set():
                raise error("the request is cancelled")
            self._used.add(used)
        try:
            yield
        finally:
            with self._lock:
                self._used.discard(used)


_current: ContextVar[tuple[RequestDeadline, Cancellation] | None] = ContextVar(
    "_current", default=None
)


@contextmanager
def ends_at(deadline: RequestDeadline, cancellation: Cancellation) -> Iterator[None]:
    """End the reads and writes of the block, which are those of this thread.

    They end at a deadline, or when they are cancelled.
    """
    token = _current.set((deadline, cancellation))
    try:
        yield
    finally:
        _current.reset(token)


def observe_deadlines(client: httpx2.Client) -> None:
    """Make the connections of an HTTP client observe `ends_at`.

    Transports of other libraries are left as they are. httpx2 has no public argument for it.
    """
    for transport in (client._transport, *client._mounts.values()):
        pool = getattr(transport, "_pool", None)
        if isinstance(pool, httpcore2.ConnectionPool):
            pool._network_backend = _Backend(pool._network_backend)


class _Backend(httpcore2.NetworkBackend):
    def __init__(self, backend: httpcore2.NetworkBackend) -> None:
        self._backend = backend

    def connect_tcp(self, *args: Any, **options: Any) -> httpcore2.NetworkStream:  # noqa: ANN401
        return _Stream(self._backend.connect_tcp(*args, **options))

    def connect_unix_socket(self, *args: Any, **options: Any) -> httpcore2.NetworkStream:  # noqa: ANN401
        return _Stream(self._backend.connect_unix_socket(*args, **options))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with self._cancelled_with(httpcore2.ReadError):
            return self._stream.read(max_bytes, _shorter(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with self._cancelled_with(httpcore2.WriteError):
            for start in range(0, len(buffer), _WRITE_BYTES):
                piece = buffer[start : start + _WRITE_BYTES]
                self._stream.write(piece, _shorter(timeout, httpcore2.WriteTimeout))

    def _cancelled_with(self, error: type[Exception]) -> AbstractContextManager[None]:
        request = _current.get()
        if request is None:
            return nullcontext()
        return request[1].ends(self._stream.get_extra_info("socket"), error)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        left = _shorter(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401
        return self._stream.get_extra_info(info)


def _shorter(timeout: float | None, error: type[Exception]) -> float | None:
    """Return the shorter of a timeout and the time until the deadline.

    Raises:
        Exception: The deadline is reached.
    """
    request = _current.get()
    if request is None:
        return timeout
    remaining_s = request[0].remaining_s()
    if not remaining_s:
        raise error("the deadline of the request is reached")
    return remaining_s if timeout is None else min(timeout, remaining_s)
