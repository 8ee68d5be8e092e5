"""Clients of several replicas behind a proxy, and what they lose."""

import ssl
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2

from tests.e2e.conftest import wait_until

CLIENTS = 4


@dataclass(frozen=True, kw_only=True)
class FleetLoad:
    """The requests of clients that send one after the other, each over its own connection.

    A request that has no response within `timeout_s` is lost, and its status is 0. With `pause_s`
    after each response, the clients leave CPU time for replicas that start.
    """

    url: str
    body: bytes
    headers: Mapping[str, str]
    timeout_s: float = 60
    pause_s: float = 0
    verify: ssl.SSLContext | bool = True

    @contextmanager
    def sent(self) -> Iterator[Counter[int]]:
        """Send requests during the block; count the responses by status, 0 for none."""
        statuses: Counter[int] = Counter()
        stopped, lock = threading.Event(), threading.Lock()

        def send() -> None:
            with httpx2.Client(timeout=self.timeout_s, verify=self.verify) as client:
                while not stopped.is_set():
                    try:
                        answer = client.post(self.url, content=self.body, headers=self.headers)
                        status = answer.status_code
                    except httpx2.TransportError:
                        status = 0
                    with lock:
                        statuses[status] += 1
                    stopped.wait(self.pause_s)

        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(send) for _ in range(CLIENTS)]
            try:
                yield statuses
            finally:
                stopped.set()
        for each in clients:
            each.result()


def answered(statuses: Counter[int], count: int) -> None:
    """Wait until there are `count` more responses."""
    before = statuses.total()
    wait_until(lambda: statuses.total() >= before + count)


def lost(statuses: Counter[int]) -> int:
    """Return the number of requests without a verdict."""
    return statuses.total() - statuses[200]
