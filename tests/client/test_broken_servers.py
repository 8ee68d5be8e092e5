"""The client against servers that reset, close, truncate, or take too long."""

import asyncio
import gzip
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from oodguard.client import (
    AsyncClient,
    Client,
    ImageResult,
    ResponseTimeoutError,
    ServiceUnreachableError,
    UnexpectedResponseError,
)
from tests.service.pictures import GREEN, encode, plain

PNG = encode(plain(GREEN))


Answer = Callable[[socket.socket], None]


@contextmanager
def broken_server(*answers: Answer) -> Iterator[str]:
    """Answer one connection after another, the last answer from then on; yield the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for number in range(1000):
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    answers[min(number, len(answers) - 1)](connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def reset(connection: socket.socket) -> None:
    """Close a connection with a reset, after its request."""
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def close(connection: socket.socket) -> None:
    connection.recv(65536)


def truncate(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"request')


def ready(connection: socket.socket) -> None:
    connection.recv(65536)
    body = (
        b'{"request_id": "r", "model": {"name": "m", "version": "1", "sha256": "0"},'
        b' "policy": {"score": "s", "alpha": 0.05, "delta": null, "threshold": 1},'
        b' "predictions": [{"label": "a", "class_id": 0, "p_value": 0.5, "decision": "accept",'
        b' "confidence": 1, "scores": {"s": 0}, "reasons": []}]}'
    )
    length = str(len(body)).encode()
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + length + b"\r\n\r\n"
    connection.sendall(head + body)


def trickle(connection: socket.socket) -> None:
    """Send one byte of the body after another, until the client closes the connection."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
    connection.settimeout(0.05)
    while True:
        try:
            connection.sendall(b" ")
            if connection.recv(1) == b"":
                return
        except TimeoutError:
            continue
        except OSError:
            return


def send_until_closed(connection: socket.socket, head: bytes, piece: bytes) -> None:
    connection.recv(65536)
    connection.settimeout(0.02)
    with suppress(OSError):
        connection.sendall(head)
        while True:
            connection.sendall(piece)
            with suppress(TimeoutError):
                if connection.recv(65536) == b"":
                    return


def trickle_head(connection: socket.socket) -> None:
    """Send one byte of the headers after another."""
    send_until_closed(connection, b"HTTP/1.1 200 OK\r\nX: ", b"x")


def inform(connection: socket.socket) -> None:
    """Send informational responses without an end."""
    send_until_closed(connection, b"", b"HTTP/1.1 103 Early Hints\r\n\r\n")


def expand(connection: socket.socket) -> None:
    """Send a response that is a thousand times larger than its bytes."""
    connection.recv(65536)
    body = gzip.compress(bytes(2**20))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    silent(connection)


def nest(connection: socket.socket) -> None:
    """Send JSON of a depth that no parser reads."""
    connection.recv(65536)
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n"
    connection.sendall(head + b"[" * 200_000)
    silent(connection)


def silent(connection: socket.socket) -> None:
    """Send nothing, until the client closes the connection."""
    while connection.recv(65536):
        pass


def predict(url: str, kind: str, **options: float) -> ImageResult:
    """Predict one image with one of the two clients."""
    if kind == "sync":
        with Client(url, **options) as client:  # type: ignore[arg-type]
            return client.predict(PNG)

    async def use() -> ImageResult:
        async with AsyncClient(url, **options) as client:  # type: ignore[arg-type]
            return await client.predict(PNG)

    return asyncio.run(use())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_client_repeats_a_request_whose_connection_is_lost(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("oodguard.client.retries.FIRST_WAIT_S", 0.001)
    with broken_server(reset, close, truncate, ready) as url:
        assert predict(url, kind).label == "a"
    # The deadline may end while an attempt waits for the event loop.
    with pytest.raises((ServiceUnreachableError, ResponseTimeoutError), match=rf"^{url}: "):
        predict(url, kind, deadline_s=0.1)


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("answer", [trickle, trickle_head, inform, silent])
def test_client_ends_at_its_deadline(kind: str, answer: Answer) -> None:
    with broken_server(answer) as url, pytest.raises(ResponseTimeoutError, match=r"within 0\.2 s"):
        predict(url, kind, deadline_s=0.2)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_client_expands_no_compressed_response(kind: str) -> None:
    with (
        broken_server(expand) as url,
        pytest.raises(ServiceUnreachableError, match="has the Content-Encoding 'gzip', expected"),
    ):
        predict(url, kind)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_client_names_a_response_that_is_nested_too_deeply(kind: str) -> None:
    with (
        broken_server(nest) as url,
        pytest.raises(UnexpectedResponseError, match="the body is not a JSON object"),
    ):
        predict(url, kind)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_client_does_not_connect_again_if_tls_is_refused(kind: str) -> None:
    """The server will be the same at the next attempt."""
    refused = b"HTTP/1.1 400 Bad Request\r\n\r\n"  # to the greeting of TLS
    with (
        broken_server(lambda connection: connection.sendall(refused)) as url,
        pytest.raises(ServiceUnreachableError, match=r"SSL"),
    ):
        predict(url.replace("http:", "https:"), kind, deadline_s=600)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_client_is_refused_in_a_fork(
    kind: type[Client | AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both processes would read the responses of the same connections."""
    client = kind("http://127.0.0.1:1")
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(RuntimeError, match="is used in its fork -1: create one in each process"):
        client._options.deadline()


def test_client_closes_idle_connections_before_the_service_does() -> None:
    """The service closes after 5 seconds: a request at that moment would be lost."""
    with Client("http://127.0.0.1:1") as client:
        pool = client._http._transport._pool  # type: ignore[attr-defined]
        assert pool._keepalive_expiry < 5
