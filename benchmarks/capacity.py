"""Measure what `oodguard capacity` calculates with, and check its predictions.

    .venv/bin/python -m benchmarks.capacity costs --out costs.json
    .venv/bin/python -m benchmarks.capacity costs --out costs.json --picture camera.jpg
    .venv/bin/python -m benchmarks.capacity check --costs costs.json --out costs.json

`costs` measures the CPU seconds of one worker on one CPU: with one client, so that every batch has
one picture, and with 64 clients. CPU time depends less on other jobs than rates do. `check` sends
requests at random times (a Poisson process) to one worker, and compares the measured 99th
percentile with the predicted one. Use idle CPUs: the service has one, the clients the other. It
needs the development environment (`make setup`) and wrk (`apt-get install wrk`).
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from urllib.request import urlopen

import numpy as np
from PIL import Image

try:
    from prometheus_client.parser import text_string_to_metric_families

    from benchmarks.serving.config import Config, NotAvailable
    from benchmarks.serving.load import wrk
    from benchmarks.serving.load.client import Connection
    from benchmarks.serving.load.generator import ConnectionPool, poisson_loop
    from benchmarks.serving.machine import facts
    from benchmarks.serving.processes import used_bytes
    from benchmarks.serving.requests import Request, encode, encoded, read_images
    from benchmarks.serving.service import ROOT, Service, served
except ModuleNotFoundError as error:
    raise SystemExit(
        f"{error.name} is not installed: use the development environment, which make setup creates"
    ) from None
from oodguard.service.capacity.bulk_queue import response_quantile_s
from oodguard.service.capacity.costs import (
    Costs,
    LoadCheck,
    ModelCosts,
    PictureCost,
    read_costs,
)
from oodguard.service.errors import CapacityError

MODELS = tuple(
    ROOT / "models" / "pretrained" / name for name in ("cifar10-aloe", "cifar10-aloe-int8")
)

CLIENTS = 64

WARM_UP = 300

LOADS = (0.3, 0.5, 0.7, 0.85)
"""Shares of the largest rate at which the predictions are checked."""


def pictures(files: Sequence[Path] = ()) -> dict[str, Request]:
    """Return a request for each file by its name, or for each built-in kind and size.

    A built-in picture of 224 pixels is a mosaic of 49 real pictures.
    """
    if files:
        return {file.name: encoded(file.read_bytes(), _kind(file)) for file in files}
    tiles = read_images(49, (32, 32)).reshape(7, 7, 32, 32, 3)
    large = np.ascontiguousarray(tiles.transpose(0, 2, 1, 3, 4).reshape(224, 224, 3))
    return {
        f"{kind}-{image.shape[0]}": encoded(encode(image, kind), kind)
        for image in (tiles[0, 0], large)
        for kind in ("png", "jpeg")
    }


def _kind(file: Path) -> str:
    with Image.open(file) as image:
        return str(image.format).lower()


def _size(request: Request) -> dict[str, int]:
    with Image.open(BytesIO(request.body)) as image:
        return {"bytes": len(request.body), "width": image.width, "height": image.height}


@contextmanager
def service(bundle: Path, *, workers: int, scratch: Path) -> Iterator[Service]:
    """Serve a bundle, with one CPU for each worker."""
    config = Config(
        bundle=bundle,
        threads=workers,
        workers=workers,
        rounds=1,
        seconds=1,
        overload_s=0,
        requests=0,
        scratch=scratch,
        environments=scratch,
        log=print,
    )
    with served(config) as running:
        yield running


def cost(running: Service, request: Request, *, requests: int, seconds: int) -> PictureCost:
    """Measure the CPU seconds of a verdict with one client, and with many."""
    _one_client(running.port, request, WARM_UP)
    before = running.process.cpu_s()
    _one_client(running.port, request, requests)
    alone_s = (running.process.cpu_s() - before) / requests
    images, runs = _batches(running.port)
    before = running.process.cpu_s()
    tally = wrk.load(running.port, request, connections=CLIENTS, duration_s=seconds)
    used_s = running.process.cpu_s() - before
    if tally.failed:
        raise RuntimeError(f"{tally.failed} requests failed, expected none")
    images_after, runs_after = _batches(running.port)
    return PictureCost(
        alone_s=alone_s,
        full_s=used_s / tally.statuses[200],
        full_batch=(images_after - images) / (runs_after - runs),
        **_size(request),
    )


def _one_client(port: int, request: Request, requests: int) -> None:
    connection, data = Connection(port), request.to_bytes()
    for _ in range(requests):
        connection.send(data)
        if connection.receive() != 200:
            raise RuntimeError("a request failed, expected status 200")


def _batches(port: int) -> tuple[float, float]:
    """Return the number of images and of runs so far."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        text = response.read().decode()
    values = {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return values["oodguard_batch_size_sum"], values["oodguard_batch_size_count"]


def measure(
    bundles: Sequence[Path], requests: Mapping[str, Request], options: argparse.Namespace
) -> Costs:
    """Measure all models and pictures."""
    models = {}
    for bundle in bundles:
        with service(bundle, workers=2, scratch=options.scratch) as two:
            two_bytes = used_bytes(two.process.processes())
        with service(bundle, workers=1, scratch=options.scratch) as running:
            one_bytes = used_bytes(running.process.processes())
            costs = {}
            for name, request in requests.items():
                costs[name] = cost(
                    running, request, requests=options.requests, seconds=options.seconds
                )
                print(bundle.name, name, costs[name], file=sys.stderr, flush=True)
        models[bundle.name] = ModelCosts(
            first_worker_bytes=one_bytes,
            each_worker_bytes=max(0, two_bytes - one_bytes),
            pictures=costs,
        )
    machine = {**facts(len(os.sched_getaffinity(0))), "measured": f"{datetime.now(UTC):%Y-%m-%d}"}
    return Costs(machine=machine, command="python -m benchmarks.capacity costs", models=models)


def check(
    costs: Costs,
    bundles: Sequence[Path],
    requests: Mapping[str, Request],
    options: argparse.Namespace,
) -> Costs:
    """Return costs with a check of each bundle: one worker with a CPU of its own, one picture."""
    server_cpu, *others = sorted(os.sched_getaffinity(0))
    name, request = next(iter(requests.items()))
    models = dict(costs.models)
    for bundle in bundles:
        server = costs.models[bundle.name].pictures[name].server()
        checks = []
        os.sched_setaffinity(0, {server_cpu})
        with service(bundle, workers=1, scratch=options.scratch) as running:
            os.sched_setaffinity(0, others or {server_cpu})
            _one_client(running.port, request, WARM_UP)
            for load in LOADS:
                rate = load * server.capacity
                measured = []
                for seed in range(options.rounds):
                    pool = ConnectionPool(running.port, request, kept=CLIENTS)
                    tally = poisson_loop(pool, rate=rate, duration_s=options.seconds, seed=seed)
                    measured.append(tally.latency_ms(200, 0.99))
                    time.sleep(0.5)
                found = LoadCheck(
                    picture=name,
                    load=load,
                    predicted_p99_ms=round(response_quantile_s(server, rate, 0.99) * 1000, 2),
                    measured_p99_ms=round(statistics.median(measured), 2),
                )
                row = {"model": bundle.name, "rate": round(rate), **found.model_dump()}
                print(json.dumps(row), file=sys.stderr, flush=True)
                checks.append(found)
        os.sched_setaffinity(0, {server_cpu, *others})
        models[bundle.name] = models[bundle.name].model_copy(update={"checks": tuple(checks)})
    return costs.model_copy(update={"models": models})


def main() -> None:
    """Measure or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["costs", "check"])
    parser.add_argument("--out", type=Path, help="write the costs to this file")
    parser.add_argument("--costs", type=Path, help="check these costs instead of the packaged ones")
    parser.add_argument("--picture", type=Path, action="append", help="a file that clients send")
    parser.add_argument("--bundle", type=Path, action="append", help="a folder of a bundle")
    parser.add_argument("--requests", type=int, default=3000, help="requests of one client")
    parser.add_argument("--seconds", type=int, default=6, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of a check")
    options = parser.parse_args()
    requests = pictures(options.picture or ())
    bundles = [each.resolve() for each in options.bundle or MODELS]
    with tempfile.TemporaryDirectory(prefix="capacity") as scratch:
        options.scratch = Path(scratch)
        try:
            wrk.require()
            if options.action == "check":
                found = check(read_costs(options.costs), bundles, requests, options)
            else:
                found = measure(bundles, requests, options)
        except (NotAvailable, CapacityError) as error:
            raise SystemExit(str(error)) from None
    text = json.dumps(found.model_dump(), indent=1) + "\n"
    if options.out:
        options.out.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
