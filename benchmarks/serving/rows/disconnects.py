"""Row `disconnects`: half of the waiting clients disconnect; their queued work is skipped."""

import time

from benchmarks.serving.audit import settled, total
from benchmarks.serving.config import Config, Round
from benchmarks.serving.load.client import Connection
from benchmarks.serving.load.tally import OK
from benchmarks.serving.requests import raw
from benchmarks.serving.rows.figure import FAILED, Figure, Row, at_least
from benchmarks.serving.service import Service, served

# These requests keep the engine busy, so that all later ones wait in the queue.
AHEAD, AHEAD_IMAGES = 2, 256
# With the requests ahead, fewer images than one client may have in flight.
CLIENTS, IMAGES = 48, 6
# After the pause, the requests ahead have reached the engine, and the others the queue.
PAUSE_S = 0.01

IMAGES_RUN = "oodguard_batch_size_sum"
SKIPPED = "oodguard_skipped_images_total"


def measure(config: Config) -> list[Round]:
    """Disconnect every second client, and count the images that were run nevertheless.

    One worker serves: another would take some of the clients, and have no requests ahead of them.
    """
    with served(config, workers=1) as service:
        return [_round(config, service) for _ in range(config.rounds)]


def _round(config: Config, service: Service) -> Round:
    ahead = raw(config.images(AHEAD_IMAGES)).to_bytes()
    request = raw(config.images(IMAGES)).to_bytes()
    before = settled(service.port)
    first = _send(service, ahead, AHEAD)
    time.sleep(PAUSE_S)
    waiting = _send(service, request, CLIENTS)
    time.sleep(PAUSE_S)
    for connection in waiting[::2]:
        connection.close()
    ahead_answered, others_answered = _answered(first), _answered(waiting[1::2])
    after = settled(service.port)
    return {
        "images of disconnected clients": CLIENTS // 2 * IMAGES,
        "images answered": AHEAD_IMAGES * ahead_answered + IMAGES * others_answered,
        f"{FAILED} of the other clients": AHEAD + CLIENTS // 2 - ahead_answered - others_answered,
        "images run": total(after, IMAGES_RUN) - total(before, IMAGES_RUN),
        "images skipped": total(after, SKIPPED) - total(before, SKIPPED),
    }


def _send(service: Service, request: bytes, count: int) -> list[Connection]:
    connections = [Connection(service.port) for _ in range(count)]
    for connection in connections:
        connection.send(request)
    return connections


def _answered(connections: list[Connection]) -> int:
    statuses = [connection.receive() for connection in connections]
    for connection in connections:
        connection.close()
    return statuses.count(OK)


def skipped(measured: Round) -> float:
    """Return the share of the disconnected clients' images that were never run."""
    run_unused = max(0.0, measured["images run"] - measured["images answered"])
    return 1 - run_unused / measured["images of disconnected clients"]


ROWS = {
    "disconnects": Row(
        measure=measure,
        figures=[
            Figure(
                title="half of the clients disconnect: share of their queued work that is skipped",
                formula=skipped,
                form="{:.0%}",
                goal=at_least(0.95),
            )
        ],
        light=False,
    )
}
