"""Rows `single` and `single-jpeg`: one image per request from 64 clients, by server."""

import time
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.serving.audit import DIFFERENCE, Audit
from benchmarks.serving.config import Config, Round
from benchmarks.serving.load import wrk
from benchmarks.serving.load.tally import Tally
from benchmarks.serving.peers.registry import SERVERS_IN_PYTHON
from benchmarks.serving.requests import encode, read_images
from benchmarks.serving.rows.figure import Figure, Row, at_least, failures, ratio
from benchmarks.serving.servers import (
    BASELINE,
    ONE_WORKER,
    OURS,
    ComparedServer,
    resumed,
    started,
)

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
    jpeg = encode(read_images(1, JPEG_SIZE)[0], "JPEG")
    return _measure(replace(config, baseline=None), jpeg, "jpeg")


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
            audit = Audit(server.port) if name in {OURS, ONE_WORKER} else None
            tally = _load(server, config.seconds)
            measured |= {name: tally.goodput, **failures(tally, name)}
            if audit is not None:
                audit.add(tally)
                measured[DIFFERENCE] = measured.get(DIFFERENCE, 0.0) + audit.difference()
    return measured


def _load(server: ComparedServer, duration_s: int) -> Tally:
    tally = wrk.load(server.port, server.request, connections=CLIENTS, duration_s=duration_s)
    time.sleep(PAUSE_S)
    return tally


def _rotated(names: Sequence[str], turn: int) -> list[str]:
    start = turn % len(names)
    return [*names[start:], *names[:start]]


def over_the_best(measured: Round, name: str = OURS) -> float:
    """Return a server's rate over that of the fastest of LitServe, BentoML and MLServer."""
    return measured[name] / max(measured[peer] for peer in SERVERS_IN_PYTHON)


def _best_of_three(title: str, bound: float) -> list[Figure]:
    title = f"{title}, 64 clients, relative to the best of LitServe, BentoML and MLServer"
    return [
        Figure(title=title, formula=over_the_best, goal=at_least(bound), light=False),
        Figure(
            title=f"{title}, one worker",
            formula=lambda measured: over_the_best(measured, ONE_WORKER),
        ),
    ]


TITLE = "single PNG, 64 clients, relative to"

ROWS = {
    "single": Row(
        measure=_png,
        figures=[
            *_best_of_three("single PNG", 3),
            Figure(
                title=f"{TITLE} mosec",
                formula=ratio(OURS, "mosec"),
                goal=at_least(1.2),
                light_goal=at_least(0.75),
            ),
            Figure(
                title=f"{TITLE} a bare Starlette handler that returns a constant",
                formula=ratio(OURS, "starlette"),
            ),
            Figure(
                title=f"{TITLE} the baseline with its bundle",
                formula=ratio(OURS, BASELINE),
                goal=at_least(2.2),
                light=False,
                needs=BASELINE,
            ),
        ],
    ),
    "single-jpeg": Row(measure=_jpeg, figures=_best_of_three("single 224 x 224 JPEG", 2)),
}
