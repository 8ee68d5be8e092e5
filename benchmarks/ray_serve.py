"""Compare Ray Serve with the service's own workers on the same CPUs.

    make test-ray    # once: creates .venv-ray
    .venv-ray/bin/python -m benchmarks.ray_serve

Two workers, two replicas behind Ray's own proxy, and two replicas behind HAProxy take turns. Each
serves single PNGs: to one client, and to 64 clients of wrk. Ratios are of the same round.
"""

import argparse
import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.serving.config import Config
from benchmarks.serving.load import wrk
from benchmarks.serving.machine import facts, pin
from benchmarks.serving.requests import Request, encode, encoded
from benchmarks.serving.service import served
from oodguard.service.settings import default_bundle
from tests.ray.cluster import Cluster

HAPROXY = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}

CLIENTS = 64

WARM_UP = 200
"""Requests of one client that are not measured."""


@contextmanager
def replicas(folder: Path, bundle: Path, environment: Mapping[str, str]) -> Iterator[int]:
    """Serve with two replicas on Ray; yield the port."""
    cluster = Cluster(folder, {**environment, **_places(folder)})
    try:
        cluster.start(cpus=2)
        cluster.deploy(settings={"OODGUARD_BUNDLE": str(bundle)})
        yield cluster.port
    finally:
        cluster.stop()


def _places(folder: Path) -> dict[str, str]:
    """Return the variables that let HAProxy write into the folder of this Ray only."""
    return {
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
    }


def one_client(port: int, request: Request, seconds: float) -> list[float]:
    """Return the duration of each request of one client, in milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": request.content_type, **request.headers}
    durations: list[float] = []
    end = time.perf_counter() + seconds
    sent = 0
    while time.perf_counter() < end:
        start = time.perf_counter()
        connection.request("POST", request.path, request.body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the server returned {answer.status}, expected 200")
        sent += 1
        if sent > WARM_UP:
            durations.append((time.perf_counter() - start) * 1000)
    connection.close()
    return durations


def measure(port: int, request: Request, seconds: int) -> dict[str, float]:
    """Measure one server."""
    durations = one_client(port, request, seconds)
    tally = wrk.load(port, request, connections=CLIENTS, duration_s=seconds)
    answered = tally.statuses.get(200, 0)
    return {
        "p50_ms": statistics.median(durations),
        "p99_ms": statistics.quantiles(durations, n=100)[98],
        "answers_per_s": answered / tally.elapsed_s,
        "other_statuses": sum(tally.statuses.values()) - answered,
    }


def compare(seconds: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Measure all servers in turn."""
    figures: dict[str, list[dict[str, float]]] = {"workers": [], "ray": [], "ray_haproxy": []}
    bundle = default_bundle().resolve()
    with tempfile.TemporaryDirectory(prefix="ray") as scratch:
        config = Config(
            bundle=bundle,
            threads=2,
            workers=2,
            rounds=rounds,
            seconds=seconds,
            overload_s=0,
            requests=0,
            scratch=Path(scratch),
            environments=Path(scratch),
            log=print,
        )
        request = encoded(encode(config.images(1)[0], "png"))
        for number in range(rounds):
            with served(config) as plain:
                figures["workers"].append(measure(plain.port, request, seconds))
            for name, environment in (("ray", {}), ("ray_haproxy", HAPROXY)):
                folder = Path(scratch) / f"{len(name)}-{number}"
                folder.mkdir()
                with replicas(folder, bundle, environment) as port:
                    figures[name].append(measure(port, request, seconds))
            print(json.dumps({name: each[-1] for name, each in figures.items()}), flush=True)
    return figures


def main() -> None:
    """Print the medians over the rounds, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=8, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    machine = facts(pin(2))
    figures = compare(options.seconds, options.rounds)
    medians = {
        name: {key: round(statistics.median(each[key] for each in found), 2) for key in found[0]}
        for name, found in figures.items()
    }
    plain = figures["workers"]
    ratios = {
        name: {
            "p50_ms_above_workers": round(
                statistics.median(
                    ours["p50_ms"] - base["p50_ms"]
                    for ours, base in zip(figures[name], plain, strict=True)
                ),
                2,
            ),
            "throughput_of_workers": round(
                statistics.median(
                    ours["answers_per_s"] / base["answers_per_s"]
                    for ours, base in zip(figures[name], plain, strict=True)
                ),
                2,
            ),
        }
        for name in ("ray", "ray_haproxy")
    }
    print(json.dumps({"machine": machine, "medians": medians, "ratios": ratios}, indent=1))


if __name__ == "__main__":
    main()
