"""What the service adds to ONNX Runtime for one client, and how soon it is ready.

    python -m benchmarks.serving [--bundle DIR] [--rounds 7] [--requests 200]

Starts `oodguard serve` on the bundle and, in rounds that interleave all of them, times a bare
`session.run` of one image, the same after decoding a PNG, and one client's requests over one
connection. Prints the median over the rounds of each round's p50, and the processor time that the
server spends on a request, which tells the same on a busy machine. Both sides share the machine's
processors and use the same threads.
"""

import argparse
import io
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from service.images import read_image
from service.served import ServedModel, load
from service.settings import Settings

Case = Callable[[], object]


class Connection:
    """One kept-alive connection that sends prepared bytes; lighter than any HTTP client."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, request: bytes) -> bytes:
        """Send a request and read its whole answer."""
        self._socket.sendall(request)
        answer = b""
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._socket.recv(65536)
        head = answer[:end].lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        while len(answer) < end + 4 + length:
            answer += self._socket.recv(65536)
        if not head.startswith(b"http/1.1 200"):
            raise SystemExit(answer.decode())
        return answer


def request(body: bytes, **headers: str) -> bytes:
    """A POST /predict as bytes."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = ["POST /predict HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join([*head, "", ""]).encode() + body


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait(port: int) -> float:
    """Wait for /readyz; seconds it took."""
    start = time.perf_counter()
    while time.perf_counter() - start < 60:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).close()
        except OSError:
            time.sleep(0.005)
        else:
            return time.perf_counter() - start
    raise SystemExit("not ready within 60 s")


def processor_time(port: int) -> float:
    """Processor seconds that the server has used so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        lines = response.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith("process_cpu_sec")).split()[1])


@contextmanager
def served(bundle: Path) -> Iterator[tuple[int, float, float]]:
    """Serve a bundle; its port, seconds until ready, and processor seconds of them."""
    port = free_port()
    command = [sys.executable, "-m", "service", "serve", "--port", str(port)]
    command += ["--bundle", str(bundle)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:  # noqa: S603
        try:
            ready_s = wait(port)
            yield port, ready_s, processor_time(port)
        finally:
            process.terminate()


def cases(model: ServedModel, port: int) -> dict[str, Case]:
    """What is timed, by name; each does the work of one image."""
    spec = model.bundle.manifest.input
    shape = (1, spec.height, spec.width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels[0]).save(buffer, "PNG")
    png = buffer.getvalue()
    raw = request(
        pixels.tobytes(),
        Content_Type="application/octet-stream",
        X_Shape=",".join(str(side) for side in shape),
    )
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    form = request(part + png + b"\r\n--x--\r\n", Content_Type="multipart/form-data; boundary=x")
    connection = Connection(port)
    return {
        "bare run": lambda: model.engine.run(pixels),
        "bare PNG decode + run": lambda: model.engine.run(
            read_image(png, spec, max_pixels=10**7)[None]
        ),
        "request, raw pixels": lambda: connection.exchange(raw),
        "request, PNG body": lambda: connection.exchange(request(png, Content_Type="image/png")),
        "request, multipart PNG": lambda: connection.exchange(form),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """One case in one round, in milliseconds a call."""

    p50: float
    server: float


def timing(case: Case, count: int, port: int) -> Timing:
    """Call a case `count` times."""
    times = []
    used = processor_time(port)
    for _ in range(count):
        start = time.perf_counter()
        case()
        times.append(time.perf_counter() - start)
    server = (processor_time(port) - used) / count
    return Timing(p50=statistics.median(times) * 1000, server=server * 1000)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--bundle", type=Path, default=Settings().bundle)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=200)
    options = parser.parse_args()
    starts = []
    for _ in range(3):
        with served(options.bundle) as (_, ready_s, cpu_s):
            starts.append((ready_s, cpu_s))
    model = load(Settings(bundle=options.bundle))
    model.engine.warm_up()
    with served(options.bundle) as (port, _, _):
        timed = cases(model, port)
        rounds = [
            {name: timing(case, options.requests, port) for name, case in timed.items()}
            for _ in range(options.rounds)
        ]
    report(starts, rounds)


def report(starts: list[tuple[float, float]], rounds: list[dict[str, Timing]]) -> None:
    """Print the table; ratios and differences are taken within a round, then their median."""
    table = Table(title=f"one image, one client, median of {len(rounds)} rounds")
    for column in ("", "p50 ms", "over bare run, ms", "ratio", "server's processor, ms"):
        table.add_column(column, justify="right" if column else "left")
    for name in rounds[0]:
        pairs = [(timings[name].p50, timings["bare run"].p50) for timings in rounds]
        server = statistics.median(timings[name].server for timings in rounds)
        table.add_row(
            name,
            f"{statistics.median(mine for mine, _ in pairs):.3f}",
            f"{statistics.median(mine - bare for mine, bare in pairs):.3f}",
            f"{statistics.median(mine / bare for mine, bare in pairs):.2f}",
            f"{server:.2f}" if "request" in name else "",
        )
    console = Console()
    console.print(table)
    ready_s, cpu_s = (statistics.median(column) for column in zip(*starts, strict=True))
    console.print(f"ready {ready_s:.2f} s after start, {cpu_s:.2f} s of processor time")


if __name__ == "__main__":
    main()
