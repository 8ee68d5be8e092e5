"""Connections to one server, watched together; each carries one request at a time.

One thread, one epoll, whole requests sent as prepared bytes: some 40 us a request, so that the
load takes little from the server that shares its processors.
"""

import select
import socket
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass

from benchmarks.serving.load.answers import whole
from benchmarks.serving.load.tally import Tally
from benchmarks.serving.requests import Request

LONGEST_READ = 65536


@dataclass(kw_only=True, slots=True, eq=False)
class _Line:
    """One connection; `due` is when its request was to be sent, None while it carries none."""

    socket: socket.socket
    fresh: bool
    due: float | None = None
    came: bytes = b""


class Lines:
    """Connections over which one request is sent again and again.

    A connection that the server closes is opened anew; one that is refused is given up.

    Args:
        port: Where the server listens, on 127.0.0.1.
        request: What is sent.
        kept: Connections that are kept from request to request.
        fresh: Connections that are opened anew for every request.
    """

    def __init__(self, port: int, request: Request, *, kept: int, fresh: int = 0) -> None:
        self._port = port
        self._kept = request.over_the_wire()
        self._closing = request.over_the_wire(close=True)
        self._epoll = select.epoll()
        self._lines: dict[int, _Line] = {}
        self._idle: deque[_Line] = deque()
        self._answers: Counter[int] = Counter()
        self._latencies: defaultdict[int, list[float]] = defaultdict(list)
        self._broken = self._refused = 0
        for index in range(kept + fresh):
            self._open(fresh=index >= kept)

    @property
    def idle(self) -> int:
        """Connections that could carry a request."""
        return len(self._idle)

    @property
    def busy(self) -> int:
        """Connections that wait for an answer."""
        return len(self._lines) - len(self._idle)

    def send(self, due: float) -> None:
        """Send the request over an idle connection.

        Args:
            due: The `time.perf_counter()` from which its latency counts.
        """
        line = self._idle.popleft()
        line.due = due
        try:
            line.socket.sendall(self._closing if line.fresh else self._kept)
        except OSError:
            self._ended(line)

    def collect(self, timeout_s: float) -> None:
        """Wait until something comes, then take all that has come."""
        for number, _ in self._epoll.poll(timeout_s):
            line = self._lines[number]
            try:
                data = line.socket.recv(LONGEST_READ)
            except OSError:
                data = b""
            if data:
                self._came(line, data)
            else:
                self._ended(line)

    def close(self, elapsed_s: float) -> Tally:
        """Close every connection and say what was counted."""
        unread = self.busy
        for line in self._lines.values():
            line.socket.close()
        self._epoll.close()
        return Tally(
            elapsed_s=elapsed_s,
            answers=self._answers,
            broken=self._broken,
            unread=unread,
            refused=self._refused,
            latencies_s=self._latencies,
        )

    def _open(self, *, fresh: bool) -> None:
        try:
            opened = socket.create_connection(("127.0.0.1", self._port))
        except OSError:
            self._refused += 1
            return
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = _Line(socket=opened, fresh=fresh)
        self._lines[opened.fileno()] = line
        self._epoll.register(opened, select.EPOLLIN)
        self._idle.append(line)

    def _came(self, line: _Line, data: bytes) -> None:
        line.came += data
        head = whole(line.came)
        if head is None or line.due is None:
            return
        self._answers[head.status] += 1
        self._latencies[head.status].append(time.perf_counter() - line.due)
        line.due, line.came = None, b""
        if line.fresh or head.closes:
            self._reopen(line)
        else:
            self._idle.append(line)

    def _ended(self, line: _Line) -> None:
        """The server closed: over a request without its whole answer, or over nothing."""
        if line.due is None:
            self._idle.remove(line)
        else:
            self._broken += 1
        self._reopen(line)

    def _reopen(self, line: _Line) -> None:
        del self._lines[line.socket.fileno()]
        line.socket.close()
        self._open(fresh=line.fresh)
