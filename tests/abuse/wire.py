"""Says to a server on a socket what a case says, and reads what comes back."""

import contextlib
import io
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse

from tests.abuse.hostile import Case, Step

GIVE_UP_S = 90.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One HTTP answer; names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def exchange(address: tuple[str, int], case: Case) -> list[Answer]:
    """Send a case on a connection of its own and read until the server closes it.

    Raises:
        TimeoutError: The server neither answers nor closes.
        ValueError: What came is no HTTP.
    """
    with socket.create_connection(address, timeout=GIVE_UP_S) as connection:
        # Beside the reading: a server that refuses early does not read on.
        sender = threading.Thread(target=_send, args=(connection, case))
        sender.start()
        came = _receive(connection)
        sender.join()
    return list(_answers(came, case.method))


def _send(connection: socket.socket, case: Case) -> None:
    # The server may have closed the connection: its answer is what counts.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for step in case.steps:
            _take(connection, step)
    if case.hangs_up:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)


def _take(connection: socket.socket, step: Step) -> None:
    if isinstance(step, bytes):
        connection.sendall(step)
    else:
        time.sleep(step)


def _receive(connection: socket.socket) -> bytes:
    came = bytearray()
    # A reset is the end as well, and what came before it counts.
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            came += piece
    return bytes(came)


class _Stream(io.BytesIO):
    """Bytes that the standard library's parser takes for a socket, and does not close."""

    def makefile(self, _mode: str) -> "_Stream":
        return self

    def close(self) -> None:
        """Stay open for the next answer."""


def _answers(came: bytes, method: str) -> Iterator[Answer]:
    stream = _Stream(came)
    while stream.tell() < len(came):
        response = HTTPResponse(stream, method=method)  # type: ignore[arg-type]
        try:
            response.begin()
            body = response.read()
        except HTTPException as error:
            raise ValueError(f"{came[:200]!r} came, which is no HTTP: {error!r}") from error
        headers = {name.lower(): value for name, value in response.getheaders()}
        yield Answer(status=response.status, headers=headers, body=body)
