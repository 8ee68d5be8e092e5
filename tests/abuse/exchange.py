"""Send a case over a socket and read the responses."""

import contextlib
import io
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse

from tests.abuse.case import Case

TIMEOUT_S = 90.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """One HTTP response; the names of its headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def exchange(address: tuple[str, int], case: Case) -> list[Response]:
    """Send a case over a new connection and read until the server closes it.

    Raises:
        TimeoutError: The server neither responds nor closes the connection.
        ValueError: The received bytes are not HTTP.
    """
    with socket.create_connection(address, timeout=TIMEOUT_S) as connection:
        # In a thread, because a server that rejects early does not read the rest.
        sender = threading.Thread(target=_send, args=(connection, case))
        sender.start()
        received = _receive(connection)
        sender.join()
    return list(_responses(received, case.method))


def _send(connection: socket.socket, case: Case) -> None:
    # The server may have closed the connection; then its response counts.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for step in case.steps:
            if isinstance(step, bytes):
                connection.sendall(step)
            else:
                time.sleep(step)
    if case.disconnects:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)


def _receive(connection: socket.socket) -> bytes:
    received = bytearray()
    # A reset is an end as well; the bytes before it count.
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            received += piece
    return bytes(received)


class _Stream(io.BytesIO):
    """Bytes with the interface of a socket that `http.client` reads and does not close."""

    def makefile(self, _mode: str) -> "_Stream":
        return self

    def close(self) -> None:
        """Keep the stream open for the next response."""


def _responses(received: bytes, method: str) -> Iterator[Response]:
    stream = _Stream(received)
    while stream.tell() < len(received):
        response = HTTPResponse(stream, method=method)  # type: ignore[arg-type]
        try:
            response.begin()
            body = response.read()
        except HTTPException as error:
            raise ValueError(f"received {received[:200]!r}, expected HTTP: {error!r}") from error
        headers = {name.lower(): value for name, value in response.getheaders()}
        yield Response(status=response.status, headers=headers, body=body)
