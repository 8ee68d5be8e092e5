"""Half of the clients hang up while they wait: is their work still done?"""

import time

from benchmarks.serving.audit import settled
from benchmarks.serving.exposition import total
from benchmarks.serving.load.connection import Connection
from benchmarks.serving.load.tally import OK
from benchmarks.serving.requests import raw
from benchmarks.serving.rows.figure import Figure, Row, at_least
from benchmarks.serving.rows.rates import FAILED
from benchmarks.serving.service import Service, served
from benchmarks.serving.setting import Round, Setting

# What keeps the engine busy, so that everything behind it waits in the queue.
AHEAD, AHEAD_IMAGES = 2, 256
CLIENTS, IMAGES = 48, 8
# The requests ahead have reached the engine; the others have reached the queue.
PAUSE_S = 0.03

IMAGES_RUN = "oodguard_batch_size_sum"
SKIPPED = "oodguard_skipped_images_total"


def measure(setting: Setting) -> list[Round]:
    """Let every second client hang up, and count the images that were run all the same."""
    with served(setting) as service:
        return [_round(setting, service) for _ in range(setting.rounds)]


def _round(setting: Setting, service: Service) -> Round:
    ahead = raw(setting.pictures(AHEAD_IMAGES)).over_the_wire()
    request = raw(setting.pictures(IMAGES)).over_the_wire()
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
        "images of those who hung up": CLIENTS // 2 * IMAGES,
        "images answered": AHEAD_IMAGES * ahead_answered + IMAGES * others_answered,
        f"{FAILED} of those who stayed": AHEAD + CLIENTS // 2 - ahead_answered - others_answered,
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
    """Share of the images of those who hung up that were never run."""
    for_nobody = max(0.0, measured["images run"] - measured["images answered"])
    return 1 - for_nobody / measured["images of those who hung up"]


ROWS = {
    "hang-ups": Row(
        measure=measure,
        figures=[
            Figure(
                title="half of the clients hang up: share of their queued work skipped",
                formula=skipped,
                form="{:.0%}",
                goal=at_least(0.95),
            )
        ],
        light=False,
    )
}
