"""Rows `raw64` and `jpeg64`: batches of 64 images, relative to the bare runtime."""

from collections.abc import Callable

import numpy as np

from benchmarks.serving.audit import DIFFERENCE, Audit
from benchmarks.serving.config import Config, Round
from benchmarks.serving.load import wrk
from benchmarks.serving.requests import Request, encode, form, raw
from benchmarks.serving.rows.figure import Figure, Row, at_least, failures, rate, ratio
from benchmarks.serving.service import served

BATCH = 64
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
    rounds = []
    with served(config) as service:
        for _ in range(config.rounds):
            audit = Audit(service.port)
            tally = wrk.load(
                service.port, request, connections=CONNECTIONS, duration_s=config.seconds
            )
            audit.add(tally, images=BATCH)
            rounds.append(
                {
                    "served images/s": BATCH * tally.goodput,
                    "bare images/s": BATCH * rate(bare, config.seconds),
                    **failures(tally),
                    DIFFERENCE: audit.difference(),
                }
            )
    return rounds


def _row(measure: Callable[[Config], list[Round]], title: str, bound: float) -> Row:
    figure = Figure(
        title=title,
        formula=ratio("served images/s", "bare images/s"),
        goal=at_least(bound),
        light=False,
    )
    return Row(measure=measure, figures=[figure])


ROWS = {
    "raw64": _row(_raw, "batches of 64 raw images, relative to a bare `session.run` loop", 0.90),
    "jpeg64": _row(_jpeg, "batches of 64 JPEGs, relative to a bare decode and run loop", 0.85),
}
