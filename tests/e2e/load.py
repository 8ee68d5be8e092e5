"""Clients that go on asking until they are told to stop, and say what they got."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

HEADERS = {"content-type": "image/png"}


@dataclass(kw_only=True)
class Load:
    """What the clients saw so far: statuses, and answers that never came."""

    statuses: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    enough: threading.Event = field(default_factory=threading.Event)


@contextmanager
def under_load(host: str, port: int, body: bytes, *, clients: int, at_least: int) -> Iterator[Load]:
    """Send `body` from several clients, which keep their connections, while the block runs.

    A client keeps its connection until an answer closes it, and then leaves, as a load balancer
    would that saw the service turn unready. Everything that was sent and not answered is a loss.
    """
    load = Load()
    stop = threading.Event()
    lock = threading.Lock()

    def ask() -> None:
        connection = http.client.HTTPConnection(host, port, timeout=30)
        while not stop.is_set() and _once(connection, body, load, lock):
            if load.statuses.total() >= at_least:
                load.enough.set()
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _once(
    connection: http.client.HTTPConnection, body: bytes, load: Load, lock: threading.Lock
) -> bool:
    """Ask once; whether the connection may be used again."""
    try:
        connection.request("POST", "/predict", body, HEADERS)
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as error:
        with lock:
            load.lost.append(repr(error))
        return False
    with lock:
        load.statuses[response.status] += 1
        version = text.partition(b'"version":"')[2].partition(b'"')[0]
        load.versions.add(version.decode())
    return not response.will_close
