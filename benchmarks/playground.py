"""Measure what the playground costs: the rate of /predict with it and without, and its start.

    python -m benchmarks.playground [--rounds 20] [--out benchmarks/playground.json]

Needs Chromium and the extra `browser`. Starts two services with the packaged bundle and one worker
each, which differ in OODGUARD_PLAYGROUND. A round sends 600 single PNGs of 32 x 32 pixels from two
connections to one service, then to the other, in changing order; the service that is not measured
is stopped meanwhile. The figures to compare are the median ratios of the rounds, of the rate and of
the CPU time of the service for one request, on which other work of the machine has less effect.
`null` is the ratio of two measurements of one service, which shows what the machine adds.

A page is usable when its slider is enabled and all examples are offered; the time is from the start
of the navigation. `cold` is the first visit
of a new browser context, `warm` the next one, which has the files in its cache.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import send_raw
from benchmarks.serving.processes import ServerProcess, free_port, wait_until
from benchmarks.serving.requests import encode, encoded, read_images
from oodguard.client import Client

IMAGES = 600
CONNECTIONS = 2
VISITS = 20

_USABLE = """
() => !document.querySelector("#alpha").disabled
  && document.querySelectorAll("#attacked li").length === 5
"""


@contextmanager
def services(folder: Path) -> Iterator[dict[str, tuple[int, ServerProcess]]]:
    """Serve with and without the page; yield the port and the process of each."""
    found = {}
    with ExitStack() as stack:
        for name, playground in (("on", "true"), ("off", "false")):
            port = free_port()
            command = [sys.executable, "-m", "oodguard.service", "serve", "--port", str(port)]
            environment = {
                "OODGUARD_PLAYGROUND": playground,
                "OODGUARD_WORKERS": "1",
                "OODGUARD_LOG_LEVEL": "warning",
            }
            log = folder / f"{name}.log"
            process = ServerProcess(command, environment=environment, log=log, folder=folder)
            server = stack.enter_context(process)
            with Client(f"http://127.0.0.1:{port}") as client:
                wait_until(client.ready, server, timeout_s=120)
            found[name] = port, server
        yield found


@dataclass(frozen=True, kw_only=True, slots=True)
class Burst:
    """The rate of some requests, and the CPU time of the service for one of them."""

    requests_per_second: float
    cpu_ms: float


def burst(port: int, server: ServerProcess, requests: list[bytes]) -> Burst:
    """Send requests, and return their rate and costs."""
    before, start = server.cpu_s(), time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda k: send_raw(port, requests[k::CONNECTIONS]), range(CONNECTIONS)))
    seconds, cpu_s = time.perf_counter() - start, server.cpu_s() - before
    return Burst(requests_per_second=len(requests) / seconds, cpu_ms=1000 * cpu_s / len(requests))


def measure_rates(served: dict[str, tuple[int, ServerProcess]], rounds: int) -> dict[str, object]:
    """Return the medians of both services, and of the ratios of the rounds."""
    images = read_images(IMAGES, (32, 32))
    requests = [encoded(encode(image, "png")).to_bytes() for image in images]

    def alone(name: str) -> Burst:
        for other, (_, server) in served.items():
            server.resume() if other == name else server.pause()
        return burst(*served[name], requests)

    for name in served:
        alone(name)  # caches, threads
    found: list[dict[str, Burst]] = []
    for number in range(rounds):
        first, second = ("on", "off") if number % 2 else ("off", "on")
        bursts = {first: alone(first), second: alone(second)}
        found.append({**bursts, "again": alone(second), "second": bursts[second]})
    for _, server in served.values():
        server.resume()
    return {
        key: {
            **{
                name: round(statistics.median(getattr(each[name], key) for each in found), 3)
                for name in served
            },
            "on_to_off": _spread(
                [getattr(each["on"], key) / getattr(each["off"], key) for each in found]
            ),
            "null": _spread(
                [getattr(each["again"], key) / getattr(each["second"], key) for each in found]
            ),
        }
        for key in ("requests_per_second", "cpu_ms")
    }


def _spread(values: list[float]) -> dict[str, object]:
    low, median, high = statistics.quantiles(values, n=4)
    return {"median": round(median, 3), "quartiles": [round(low, 3), round(high, 3)]}


def measure_page(port: int) -> dict[str, object]:
    """Return the median seconds from the start of a visit until it is usable."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an extra

    seconds: dict[str, list[float]] = {"cold": [], "warm": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for _ in range(VISITS):
            context = browser.new_context()
            page = context.new_page()
            for times in seconds.values():
                page.goto("about:blank")
                page.goto(f"http://127.0.0.1:{port}/", wait_until="commit")
                page.wait_for_function(_USABLE, polling=10, timeout=0)
                times.append(page.evaluate("performance.now()") / 1000)
            context.close()
        version = browser.version
        browser.close()
    medians = {name: round(statistics.median(times), 3) for name, times in seconds.items()}
    return {"chromium": version, "visits": VISITS, "usable_s": medians}


def main() -> None:
    """Parse the command line, start both services and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    arguments = parser.parse_args()
    machine = {"cpus": os.cpu_count(), "load_average": round(os.getloadavg()[1], 1)}
    with tempfile.TemporaryDirectory() as scratch, services(Path(scratch)) as served:
        figures = machine | {"rounds": arguments.rounds}
        figures |= measure_rates(served, arguments.rounds)
        figures |= {"page": measure_page(served["on"][0])}
    text = json.dumps(figures, indent=2) + "\n"
    print(text, end="")
    if arguments.out:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
