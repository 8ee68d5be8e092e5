"""A load generator with one thread: a connection pool, a closed loop and an open loop.

One epoll and prepared bytes cost about 40 us per request, so that the generator takes little CPU
time from the server on the same CPUs.
"""

import select
import socket
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from benchmarks.serving.load.client import parse_head
from benchmarks.serving.load.tally import Tally
from benchmarks.serving.requests import Request

READ_BYTES = 65536
PATIENCE_S = 60.0
MAX_DURATION_S = 120.0
TICK_S = 0.1

Action = Callable[[], object]


@dataclass(kw_only=True, slots=True, eq=False)
class _PooledConnection:
    """One connection; `due` is the time at which its request was due, None if it has none."""

    fresh: bool
    opened: socket.socket | None = None
    due: float | None = None
    received: bytes = b""


class ConnectionPool:
    """Connections to one server over which the same request is sent repeatedly.

    Each connection has at most one request in flight. It is opened, and opened again, when its
    next request is sent: a server that shuts down closes connections over which no request
    arrives, and these are no lost requests. A connection that is refused is dropped.

    Args:
        port: The server's port on 127.0.0.1.
        request: The request.
        kept: Number of connections that are kept from request to request.
        fresh: Number of connections that are opened again for every request.
    """

    def __init__(self, port: int, request: Request, *, kept: int, fresh: int = 0) -> None:
        self._port = port
        self._kept_request = request.to_bytes()
        self._closing_request = request.to_bytes(close=True)
        self._epoll = select.epoll()
        self._connections: dict[int, tuple[socket.socket, _PooledConnection]] = {}
        self._idle = deque(_PooledConnection(fresh=index >= kept) for index in range(kept + fresh))
        self._busy = 0
        self._statuses: Counter[int] = Counter()
        self._latencies: defaultdict[int, list[float]] = defaultdict(list)
        self._broken = self._refused = 0

    @property
    def idle(self) -> int:
        """The number of connections without a request in flight."""
        return len(self._idle)

    @property
    def busy(self) -> int:
        """The number of connections with a request in flight."""
        return self._busy

    def send(self, due: float) -> None:
        """Send the request over an idle connection.

        Args:
            due: The value of `time.perf_counter()` from which its latency counts.
        """
        connection = self._idle.popleft()
        opened = connection.opened or self._open(connection)
        if opened is None:
            self._refused += 1
            return
        connection.due = due
        self._busy += 1
        try:
            opened.sendall(self._closing_request if connection.fresh else self._kept_request)
        except OSError:
            self._end(opened, connection)

    def collect(self, timeout_s: float) -> None:
        """Wait until data arrives, then read all of it."""
        for number, _ in self._epoll.poll(timeout_s):
            opened, connection = self._connections[number]
            try:
                data = opened.recv(READ_BYTES)
            except OSError:
                data = b""
            if data:
                self._receive(opened, connection, data)
            else:
                self._end(opened, connection)

    def close(self, elapsed_s: float) -> Tally:
        """Close every connection and return the counts."""
        unread = self.busy
        for opened, _ in self._connections.values():
            opened.close()
        self._epoll.close()
        return Tally(
            elapsed_s=elapsed_s,
            statuses=self._statuses,
            broken=self._broken,
            unread=unread,
            refused=self._refused,
            latencies_s=self._latencies,
        )

    def _open(self, connection: _PooledConnection) -> socket.socket | None:
        try:
            opened = socket.create_connection(("127.0.0.1", self._port))
        except OSError:
            return None
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[opened.fileno()] = (opened, connection)
        self._epoll.register(opened, select.EPOLLIN)
        connection.opened = opened
        return opened

    def _receive(self, opened: socket.socket, connection: _PooledConnection, data: bytes) -> None:
        connection.received += data
        head = parse_head(connection.received)
        if head is None or connection.due is None:
            return
        self._statuses[head.status] += 1
        self._latencies[head.status].append(time.perf_counter() - connection.due)
        if connection.fresh or head.closes:
            self._close(opened, connection)
        self._free(connection)

    def _end(self, opened: socket.socket, connection: _PooledConnection) -> None:
        """Handle a connection that the server closed, with or without a request in flight."""
        self._close(opened, connection)
        if connection.due is not None:
            self._broken += 1
            self._free(connection)

    def _close(self, opened: socket.socket, connection: _PooledConnection) -> None:
        del self._connections[opened.fileno()]
        opened.close()
        connection.opened = None

    def _free(self, connection: _PooledConnection) -> None:
        """Give the connection back after its request."""
        connection.due, connection.received = None, b""
        self._busy -= 1
        self._idle.append(connection)


def closed_loop(
    pool: ConnectionPool,
    *,
    requests: int | None = None,
    duration_s: float = MAX_DURATION_S,
    actions: Mapping[int, Action] | None = None,
    active: Callable[[], bool] = lambda: True,
) -> Tally:
    """Keep every connection busy, then wait for the last responses.

    Args:
        pool: The connections and the request.
        requests: Maximum number of requests.
        duration_s: Maximum time in which requests are sent.
        actions: Calls by the number of sent requests after which they are made.
        active: Return False to stop sending.
    """
    actions = dict(actions or {})
    start = last = time.perf_counter()
    sent = 0
    while True:
        now = time.perf_counter()
        over = now > start + duration_s or not active()
        while pool.idle and not over and (requests is None or sent < requests):
            pool.send(now)
            sent += 1
            if sent in actions:
                actions.pop(sent)()
        if not pool.busy or now > start + duration_s + PATIENCE_S:
            return pool.close(last - start)
        pool.collect(TICK_S)
        last = time.perf_counter()


def open_loop(pool: ConnectionPool, *, rate: float, duration_s: float) -> Tally:
    """Send a request every 1 / `rate` seconds, then wait for the last responses.

    Args:
        pool: The request, and enough connections that one is always idle unless the server stalls.
        rate: Requests per second.
        duration_s: Time in which requests are sent.
    """
    return _send_at(pool, [each / rate for each in range(round(rate * duration_s))])


def poisson_loop(pool: ConnectionPool, *, rate: float, duration_s: float, seed: int) -> Tally:
    """Send requests at the times of a Poisson process, then wait for the last responses."""
    random, due, times = Random(seed), 0.0, []  # noqa: S311 - the times are not secret
    while (due := due + random.expovariate(rate)) < duration_s:
        times.append(due)
    return _send_at(pool, times)


def _send_at(pool: ConnectionPool, times: Sequence[float]) -> Tally:
    """Send a request at each time, in seconds after the start.

    Latency counts from the time at which a request was due, so that time spent waiting for a free
    connection or for the generator is included (no coordinated omission).
    """
    start = last = time.perf_counter()
    end = start + PATIENCE_S + (times[-1] if times else 0.0)
    sent, total = 0, len(times)
    while True:
        now = time.perf_counter()
        while sent < total and start + times[sent] <= now and pool.idle:
            pool.send(start + times[sent])
            sent += 1
        if (sent == total and not pool.busy) or now > end:
            return pool.close(last - start)
        waits = sent == total or not pool.idle
        pool.collect(TICK_S if waits else max(0.0, start + times[sent] - now))
        last = time.perf_counter()
