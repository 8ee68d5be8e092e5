"""Row `one-client`: the latency of a sequential client, minus that of a bare run."""

import statistics
import time
from collections.abc import Callable

from benchmarks.serving.config import Config, Round
from benchmarks.serving.load.client import Connection
from benchmarks.serving.load.tally import OK
from benchmarks.serving.requests import Request, encode, encoded, form, raw
from benchmarks.serving.rows.figure import Figure, Formula, Row, at_most
from benchmarks.serving.service import served

CALLS_PER_SECOND = 100
BARE = "bare run ms"

Call = Callable[[], object]


def measure(config: Config) -> list[Round]:
    """Time a bare run and each form of request, one after the other in every round."""
    graph, image = config.graph(), config.images(1)
    png = encode(image[0], "PNG")
    with served(config) as service:
        connection = Connection(service.port)
        calls: dict[str, Call] = {
            BARE: lambda: graph.run(image),
            "raw ms": _call(connection, raw(image)),
            "multipart ms": _call(connection, form([png])),
            "png ms": _call(connection, encoded(png)),
        }
        count = CALLS_PER_SECOND * config.seconds
        rounds = [
            {name: p50_ms(call, count) for name, call in calls.items()}
            for _ in range(config.rounds)
        ]
        connection.close()
    return rounds


def p50_ms(call: Call, count: int) -> float:
    """Return the median duration of `count` calls in milliseconds."""
    durations = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations) * 1000


def _call(connection: Connection, request: Request) -> Call:
    prepared = request.to_bytes()

    def call() -> None:
        status = connection.exchange(prepared)
        if status != OK:
            raise RuntimeError(f"a single client received {status}, expected {OK}")

    return call


def _excess(name: str) -> Formula:
    return lambda measured: measured[name] - measured[BARE]


TITLE = "one client, p50 in excess of a bare run"

ROWS = {
    "one-client": Row(
        measure=measure,
        figures=[
            Figure(
                title=f"{TITLE}: raw pixels",
                formula=_excess("raw ms"),
                form="{:.2f} ms",
                goal=at_most(0.5),
            ),
            Figure(
                title=f"{TITLE}: multipart PNG",
                formula=_excess("multipart ms"),
                form="{:.2f} ms",
                goal=at_most(0.8),
            ),
        ],
    )
}
