"""Clients that go on asking until they are told to stop, and say what they got."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

HEADERS = {"content-type": "image/png"}
# Answers after which something may happen to the server.
ENOUGH = 200


@dataclass(kw_only=True)
class Load:
    """What the clients saw so far: statuses, and answers that never came; whether it is enough."""

    statuses: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    enough: threading.Event = field(default_factory=threading.Event)


@contextmanager
def under_load(
    host: str, port: int, body: bytes, *, clients: int, keep: bool = True
) -> Iterator[Load]:
    """Send `body` from several clients while the block runs.

    A client that keeps its connection leaves once an answer closes it, as a load balancer would
    that saw the service turn unready; one that does not connects for every request, until nobody
    listens. Everything that was sent and not answered is a loss.
    """
    load = Load()
    stop = threading.Event()
    lock = threading.Lock()

    def ask() -> None:
        connection = http.client.HTTPConnection(host, port, timeout=30)
        while not stop.is_set() and (keep or _connected(connection)):
            stays = _once(connection, body, load, lock)
            if load.statuses.total() >= ENOUGH:
                load.enough.set()
            if keep and not stays:
                break
            if not keep:
                connection.close()
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


def _connected(connection: http.client.HTTPConnection) -> bool:
    try:
        connection.connect()
    except OSError:
        return False
    return True


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
