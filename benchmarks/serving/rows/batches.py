"""Batches of 64: what arrives of the runtime's own speed."""

from collections.abc import Callable

import numpy as np

from benchmarks.serving.audit import DIFFERENCE, Audit
from benchmarks.serving.load import wrk
from benchmarks.serving.pictures import encode
from benchmarks.serving.requests import Request, form, raw
from benchmarks.serving.rows.figure import Figure, Row, at_least, ratio
from benchmarks.serving.rows.rates import failures, rate
from benchmarks.serving.service import served
from benchmarks.serving.setting import Round, Setting

BATCH = 64
# Enough that one batch always waits while another is run.
CONNECTIONS = 4


def _raw(setting: Setting) -> list[Round]:
    graph, images = setting.graph(), setting.pictures(BATCH)
    return _measure(setting, raw(images), lambda: graph.run(images))


def _jpeg(setting: Setting) -> list[Round]:
    graph = setting.graph()
    files = [encode(picture, "JPEG") for picture in setting.pictures(BATCH)]
    return _measure(
        setting, form(files), lambda: graph.run(np.stack([graph.decode(file) for file in files]))
    )


def _measure(setting: Setting, request: Request, bare: Callable[[], object]) -> list[Round]:
    rounds = []
    with served(setting) as service:
        for _ in range(setting.rounds):
            audit = Audit(service.port)
            tally = wrk.load(
                service.port, request, connections=CONNECTIONS, duration_s=setting.seconds
            )
            audit.add(tally, images=BATCH)
            rounds.append(
                {
                    "served images/s": BATCH * tally.goodput,
                    "bare images/s": BATCH * rate(bare, setting.seconds),
                    **failures(tally),
                    DIFFERENCE: audit.difference(),
                }
            )
    return rounds


def _row(measure: Callable[[Setting], list[Round]], title: str, bound: float) -> Row:
    figure = Figure(
        title=title,
        formula=ratio("served images/s", "bare images/s"),
        goal=at_least(bound),
        light=False,
    )
    return Row(measure=measure, figures=[figure])


ROWS = {
    "raw64": _row(_raw, "batches of 64 raw images, over a bare `session.run` loop", 0.90),
    "jpeg64": _row(_jpeg, "batches of 64 JPEGs, over a bare decode and run loop", 0.85),
}
