"""Rows `raw64` and `jpeg64`: batches of 64 images, relative to the bare runtime."""

from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.serving.audit import DIFFERENCE, Audit
from benchmarks.serving.config import Config, Round
from benchmarks.serving.load import wrk
from benchmarks.serving.requests import Request, encode, form, raw
from benchmarks.serving.rows.figure import Figure, Row, at_least, failures, rate, ratio
from benchmarks.serving.service import Service, served

BATCH = 64
SERVED, BARE = "served images/s", "bare images/s"
SERVED_BY_ONE = "images/s of one worker"
# Enough connections that one batch always waits while another runs.
CONNECTIONS = 4


def _raw(config: Config) -> list[Round]:
    graph, images = config.graph(), config.images(BATCH)
    return _measure(config, raw(images), lambda: graph.run(images))


def _jpeg(config: Config) -> list[Round]:
    graph = config.graph()
    files = [encode(image, "JPEG") for image in config.images(BATCH)]
    return _measure(
        config, form(files), lambda: graph.run(np.stack([graph.decode(file) for file in files]))
    )


def _measure(config: Config, request: Request, bare: Callable[[], object]) -> list[Round]:
    with served(config) as service, served(config, workers=1) as one_worker:
        services = {SERVED: service, SERVED_BY_ONE: one_worker}
        return [_round(config, services, request, bare) for _ in range(config.rounds)]


def _round(
    config: Config, services: Mapping[str, Service], request: Request, bare: Callable[[], object]
) -> Round:
    measured: Round = {BARE: BATCH * rate(bare, config.seconds), DIFFERENCE: 0.0}
    for name, service in services.items():
        audit = Audit(service.port)
        tally = wrk.load(service.port, request, connections=CONNECTIONS, duration_s=config.seconds)
        audit.add(tally, images=BATCH)
        measured |= {name: BATCH * tally.goodput, **failures(tally, name)}
        measured[DIFFERENCE] += audit.difference()
    return measured


def _row(measure: Callable[[Config], list[Round]], title: str, bound: float) -> Row:
    figures = [
        Figure(title=title, formula=ratio(SERVED, BARE), goal=at_least(bound), light=False),
        Figure(title=f"{title}, one worker", formula=ratio(SERVED_BY_ONE, BARE)),
    ]
    return Row(measure=measure, figures=figures)


ROWS = {
    "raw64": _row(_raw, "batches of 64 raw images, relative to a bare `session.run` loop", 0.90),
    "jpeg64": _row(
        _jpeg, "batches of 64 JPEGs, relative to a bare Pillow decode and run loop", 1.4
    ),
}
