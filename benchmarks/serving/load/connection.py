"""One client over one kept connection; lighter than any HTTP client."""

import socket

from benchmarks.serving.load.answers import whole


class Connection:
    """A kept connection to 127.0.0.1 that sends prepared bytes."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes) -> None:
        """Send a request and wait for nothing."""
        self._socket.sendall(request)

    def receive(self) -> int:
        """Read one whole answer; its status.

        Raises:
            ConnectionError: The connection closed before the whole answer.
        """
        came = b""
        while (head := whole(came)) is None:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError(f"closed after {len(came)} bytes of an answer")
            came += data
        return head.status

    def exchange(self, request: bytes) -> int:
        """Send a request and read its whole answer; the answer's status."""
        self.send(request)
        return self.receive()

    def close(self) -> None:
        """Hang up, whatever is still to come."""
        self._socket.close()
