"""One client that waits for every answer: what a request costs beyond the runtime's own time."""

import statistics
import time
from collections.abc import Callable

from benchmarks.serving.load.connection import Connection
from benchmarks.serving.load.tally import OK
from benchmarks.serving.pictures import encode
from benchmarks.serving.requests import Request, encoded, form, raw
from benchmarks.serving.rows.figure import Figure, Formula, Row, at_most
from benchmarks.serving.service import served
from benchmarks.serving.setting import Round, Setting

CALLS_A_SECOND = 100
BARE = "bare run ms"

Call = Callable[[], object]


def measure(setting: Setting) -> list[Round]:
    """Time a bare run and each way of asking, one after the other in every round."""
    graph, picture = setting.graph(), setting.pictures(1)
    png = encode(picture[0], "PNG")
    with served(setting) as service:
        connection = Connection(service.port)
        calls: dict[str, Call] = {
            BARE: lambda: graph.run(picture),
            "raw ms": _asking(connection, raw(picture)),
            "multipart ms": _asking(connection, form([png])),
            "png ms": _asking(connection, encoded(png)),
        }
        count = CALLS_A_SECOND * setting.seconds
        rounds = [
            {name: p50_ms(call, count) for name, call in calls.items()}
            for _ in range(setting.rounds)
        ]
        connection.close()
    return rounds


def p50_ms(call: Call, count: int) -> float:
    """Median duration of `count` calls, in milliseconds."""
    durations = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        durations.append(time.perf_counter() - began)
    return statistics.median(durations) * 1000


def _asking(connection: Connection, request: Request) -> Call:
    prepared = request.over_the_wire()

    def ask() -> None:
        status = connection.exchange(prepared)
        if status != OK:
            raise RuntimeError(f"{status} came to a single client; {OK} is wanted")

    return ask


def _beyond(name: str) -> Formula:
    return lambda measured: measured[name] - measured[BARE]


TITLE = "one client, p50 over a bare run"

ROWS = {
    "one-client": Row(
        measure=measure,
        figures=[
            Figure(
                title=f"{TITLE}: raw",
                formula=_beyond("raw ms"),
                form="{:.2f} ms",
                goal=at_most(0.6),
            ),
            Figure(
                title=f"{TITLE}: multipart PNG",
                formula=_beyond("multipart ms"),
                form="{:.2f} ms",
                goal=at_most(1.0),
            ),
        ],
    )
}
