"""Compare the client with a bare HTTP client and with raw sockets: images/s, and one request.

    python -m benchmarks.client [--rounds 5] [--out benchmarks/client.json]

Starts a service with the packaged bundle on this machine. Each round predicts the same 2,000 PNG
files of 32 x 32 pixels by each way, in turn, so that another load on the machine concerns all of
them. The figures are medians over the rounds; those to compare are the ratios.

- `client`: `Client.predict_many` of the paths.
- `httpx_one`: httpx2, one image in each request, one request after another, for 400 of the files.
- `httpx_packed`: httpx2 with requests of 64 images that are prepared before, from 4 threads.
- `raw`: sockets with the same requests, whose responses are read and not parsed, from 4 threads.
"""

import argparse
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from benchmarks.serving.processes import ServerProcess, free_port, wait_until
from benchmarks.serving.requests import Request, encode, encoded, form, read_images
from oodguard.client import Client

IMAGES = 2000
ONE_BY_ONE = 400
PACKED = 64
THREADS = 4
SINGLE_REQUESTS = 300


def receive(connection: socket.socket) -> None:
    """Read one response, which has a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode())
    missing = int(head.lower().partition(b"content-length: ")[2].split()[0]) - len(body)
    while missing:
        missing -= len(connection.recv(min(missing, 1 << 16)))


def send_raw(port: int, requests: Iterable[bytes]) -> None:
    """Send requests over one connection, one after another."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for request in requests:
            connection.sendall(request)
            receive(connection)


def send_httpx(http: httpx2.Client, requests: Iterable[Request]) -> None:
    """Send requests, one after another, and parse the responses."""
    for request in requests:
        headers = {"Content-Type": request.content_type}
        http.post(request.path, content=request.body, headers=headers).raise_for_status().json()


def in_threads(send: Callable[[int], None]) -> None:
    """Call a function with the number of each thread."""
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(send, range(THREADS)))


def seconds(call: Callable[[], object]) -> float:
    """Return the time of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(port: int, paths: list[Path], rounds: int) -> dict[str, object]:
    """Return the medians over the rounds."""
    files = [path.read_bytes() for path in paths]
    packed = [form(files[at : at + PACKED]) for at in range(0, len(files), PACKED)]
    raw = [request.to_bytes() for request in packed]
    url = f"http://127.0.0.1:{port}"
    limits = httpx2.Limits(max_keepalive_connections=THREADS)
    with Client(url) as client, httpx2.Client(base_url=url, limits=limits, timeout=60) as http:

        def predict_many() -> None:
            count = sum(1 for _ in client.predict_many(paths))
            if count != len(paths):
                raise RuntimeError(f"{count} results, expected {len(paths)}")

        ways: Mapping[str, Callable[[], object]] = {
            "client": predict_many,
            "httpx_packed": lambda: in_threads(lambda i: send_httpx(http, packed[i::THREADS])),
            "raw": lambda: in_threads(lambda i: send_raw(port, raw[i::THREADS])),
            "httpx_one": lambda: send_httpx(http, map(encoded, files[:ONE_BY_ONE])),
        }
        counts = {name: len(files) for name in ways} | {"httpx_one": ONE_BY_ONE}
        for call in ways.values():  # connections, caches
            call()
        times = [
            {name: seconds(call) / counts[name] for name, call in ways.items()}
            for _ in range(rounds)
        ]
        one = encoded(files[0])
        singles = [
            (
                seconds(lambda: client.predict(files[0])),
                seconds(lambda: send_httpx(http, [one])),
            )
            for _ in range(SINGLE_REQUESTS)
        ]
    ratios = {
        f"client_to_{other}": statistics.median(each[other] / each["client"] for each in times)
        for other in list(ways)[1:]
    }
    return {
        "images_per_second": {
            name: round(1 / statistics.median(each[name] for each in times)) for name in ways
        },
        "ratios_of_images_per_second": {name: round(each, 2) for name, each in ratios.items()},
        "one_request_ms": {
            "client": round(1000 * statistics.median(each for each, _ in singles), 3),
            "httpx": round(1000 * statistics.median(each for _, each in singles), 3),
            "difference": round(1000 * statistics.median(a - b for a, b in singles), 3),
        },
    }


def main() -> None:
    """Parse the command line, start a service and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    arguments = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        paths = [folder / f"{index:04}.png" for index in range(IMAGES)]
        for path, image in zip(paths, read_images(IMAGES, (32, 32)), strict=True):
            path.write_bytes(encode(image, "png"))
        command = [sys.executable, "-m", "oodguard.service", "serve", "--port", str(port)]
        quiet = {"OODGUARD_LOG_LEVEL": "warning"}
        log = folder / "log"
        with ServerProcess(command, environment=quiet, log=log, folder=folder) as server:
            with Client(f"http://127.0.0.1:{port}") as client:
                wait_until(client.ready, server, timeout_s=60)
            machine = {"cpus": os.cpu_count(), "load_average": round(os.getloadavg()[1], 1)}
            figures = machine | {"rounds": arguments.rounds}
            figures |= measure(port, paths, arguments.rounds)
    text = json.dumps(figures, indent=2) + "\n"
    print(text, end="")
    if arguments.out:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
