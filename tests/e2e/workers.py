"""A service of two worker processes, and requests to it."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import psutil

from benchmarks.serving.load.generator import ConnectionPool, closed_loop
from benchmarks.serving.load.tally import Tally
from benchmarks.serving.requests import encoded
from tests.e2e.conftest import RunningServer
from tests.service.pictures import encode, plain

PNG = encode(plain())
WORKERS = {"OODGUARD_WORKERS": 2}


def workers_of(server: RunningServer) -> list[psutil.Process]:
    """The worker processes, which are the children of the only child of the first process.

    The oldest is first: process ids start again at the lowest after the highest.
    """
    (zygote,) = psutil.Process(server.process.pid).children()
    return sorted(zygote.children(), key=psutil.Process.create_time)


def post(server: RunningServer, **headers: str) -> httpx2.Response:
    """Predict over a new connection."""
    headers = {"content-type": "image/png", **headers}
    return httpx2.post(f"{server.url}/predict", content=PNG, headers=headers, timeout=30)


def versions(server: RunningServer, requests: int = 40) -> Counter[str]:
    """The versions in the answers to requests over new connections, which reach all workers."""
    return Counter(post(server).json()["model"]["version"] for _ in range(requests))


def under_load(
    server: RunningServer, work: Callable[[], object], *, kept: int = 6, fresh: int = 2
) -> Tally:
    """Do something while clients send requests over kept and new connections."""
    done = threading.Event()
    pool = ConnectionPool(server.port, encoded(PNG), kept=kept, fresh=fresh)
    with ThreadPoolExecutor(1) as executor:
        load = executor.submit(closed_loop, pool, active=lambda: not done.is_set())
        try:
            work()
        finally:
            done.set()
    return load.result()
