"""A minimal HTTP/1.1 client over one kept connection; it uses less CPU than any HTTP library."""

import socket
from dataclasses import dataclass

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Head:
    """The status of a whole response, and whether the server closes the connection after it."""

    status: int
    closes: bool


def parse_head(data: bytes) -> Head | None:
    """Return the head of a response, or None until the response is complete.

    Raises:
        ValueError: The data is not HTTP/1.1, or the response has no Content-Length.
    """
    end = data.find(HEAD_END)
    if end < 0:
        return None
    head = data[:end].lower()
    if not head.startswith(b"http/1.1 "):
        raise ValueError(f"received {data[:32]!r}, expected an HTTP/1.1 response")
    start = head.find(LENGTH)
    if start < 0:
        raise ValueError(f"received {data[:end]!r}, expected a response with Content-Length")
    length = int(head[start + len(LENGTH) :].split(b"\r\n", 1)[0])
    if len(data) < end + len(HEAD_END) + length:
        return None
    return Head(int(head[9:12]), b"connection: close" in head)


class Connection:
    """A kept connection to 127.0.0.1 that sends prepared bytes."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes) -> None:
        """Send a request without waiting for the response."""
        self._socket.sendall(request)

    def receive(self) -> int:
        """Read one whole response and return its status.

        Raises:
            ConnectionError: The server closed the connection before the whole response.
        """
        received = b""
        while (head := parse_head(received)) is None:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError(f"closed after {len(received)} bytes of a response")
            received += data
        return head.status

    def exchange(self, request: bytes) -> int:
        """Send a request, read the whole response and return its status."""
        self.send(request)
        return self.receive()

    def close(self) -> None:
        """Close the connection, even if a response is still expected."""
        self._socket.close()
