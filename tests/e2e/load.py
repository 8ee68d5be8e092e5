"""Clients that send requests until they are stopped, and count the responses."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

HEADERS = {"content-type": "image/png"}
ENOUGH = 200


@dataclass(kw_only=True)
class Load:
    """The counts so far: statuses, lost requests and versions; `enough` is set after 200."""

    statuses: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    enough: threading.Event = field(default_factory=threading.Event)


@contextmanager
def under_load(
    address: tuple[str, int], body: bytes, *, clients: int, keep: bool = True
) -> Iterator[Load]:
    """Send `body` from several clients during the block.

    Args:
        address: Host and port.
        body: A PNG.
        clients: Number of clients.
        keep: Keep the connections, and stop once the server closes one, as behind a load balancer
            that sees the service become unready. Otherwise connect for every request, until the
            connection is refused. Every request that was sent without a response is lost.
    """
    load = Load()
    stop = threading.Event()
    lock = threading.Lock()

    def send() -> None:
        connection = http.client.HTTPConnection(*address, timeout=30)
        while not stop.is_set() and (keep or _connected(connection)):
            reusable = _once(connection, body, load, lock)
            if load.statuses.total() >= ENOUGH:
                load.enough.set()
            if keep and not reusable:
                break
            if not keep:
                connection.close()
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(clients)]
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
    """Send one request; return whether the connection can be used again."""
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
