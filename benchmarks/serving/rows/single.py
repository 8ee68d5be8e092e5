"""Rows `single` and `single-jpeg`: one image per request from 64 clients, by server."""

import time
from collections.abc import Sequence

from benchmarks.serving.audit import DIFFERENCE, Audit
from benchmarks.serving.config import Config, Round
from benchmarks.serving.load import wrk
from benchmarks.serving.load.tally import Tally
from benchmarks.serving.peers.registry import SERVERS_IN_PYTHON
from benchmarks.serving.requests import encode, read_images
from benchmarks.serving.rows.figure import Figure, Row, at_least, failures, ratio
from benchmarks.serving.servers import OURS, ComparedServer, resumed, started

CLIENTS = 64
# BentoML's batcher trains on its first requests; other servers fill their caches.
WARM_UP_S = 2
RESUMED_S = 1
# The server finishes the unread requests of one load before the next one starts.
PAUSE_S = 0.5
JPEG_SIZE = (224, 224)


def _png(config: Config) -> list[Round]:
    return _measure(config, encode(config.images(1)[0], "PNG"), "png")


def _jpeg(config: Config) -> list[Round]:
    return _measure(config, encode(read_images(1, JPEG_SIZE)[0], "JPEG"), "jpeg")


def _measure(config: Config, image: bytes, kind: str) -> list[Round]:
    """Measure every server in every round, in an order that rotates."""
    with started(config, image, kind) as servers:
        for server in servers.values():
            with resumed(server):
                _load(server, WARM_UP_S)
        return [_round(config, servers, turn) for turn in range(config.rounds)]


def _round(config: Config, servers: dict[str, ComparedServer], turn: int) -> Round:
    measured: Round = {}
    for name in _rotated(list(servers), turn):
        with resumed(servers[name]) as server:
            _load(server, RESUMED_S)
            audit = Audit(server.port) if name == OURS else None
            tally = _load(server, config.seconds)
            measured |= {name: tally.goodput, **failures(tally, name)}
            if audit is not None:
                audit.add(tally)
                measured[DIFFERENCE] = audit.difference()
    return measured


def _load(server: ComparedServer, duration_s: int) -> Tally:
    tally = wrk.load(server.port, server.request, connections=CLIENTS, duration_s=duration_s)
    time.sleep(PAUSE_S)
    return tally


def _rotated(names: Sequence[str], turn: int) -> list[str]:
    start = turn % len(names)
    return [*names[start:], *names[:start]]


def over_the_best(measured: Round) -> float:
    """Return the service's rate over that of the fastest of LitServe, BentoML and MLServer."""
    return measured[OURS] / max(measured[name] for name in SERVERS_IN_PYTHON)


def _best_of_three(title: str, bound: float) -> Figure:
    return Figure(
        title=f"{title}, 64 clients, relative to the best of LitServe, BentoML and MLServer",
        formula=over_the_best,
        goal=at_least(bound),
    )


TITLE = "single PNG, 64 clients, relative to"

ROWS = {
    "single": Row(
        measure=_png,
        figures=[
            _best_of_three("single PNG", 2),
            Figure(title=f"{TITLE} mosec", formula=ratio(OURS, "mosec"), goal=at_least(1)),
            Figure(
                title=f"{TITLE} a bare Starlette handler that returns a constant",
                formula=ratio(OURS, "starlette"),
                goal=at_least(0.7),
            ),
        ],
    ),
    "single-jpeg": Row(measure=_jpeg, figures=[_best_of_three("single 224 x 224 JPEG", 2)]),
}
