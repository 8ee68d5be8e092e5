"""SIGTERM under load: every request that reached the process is answered before it exits with 0."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from benchmarks.serving.balancer import balanced
from benchmarks.serving.load.lines import Lines
from benchmarks.serving.load.loops import closed_loop
from benchmarks.serving.load.tally import Tally
from benchmarks.serving.pictures import encode
from benchmarks.serving.requests import Request, encoded
from benchmarks.serving.rows.figure import Figure, Row, at_most
from benchmarks.serving.service import Service, served
from benchmarks.serving.setting import Round, Setting

# Half keep their connection and half open one for every request, as behind a proxy and without.
KEPT, FRESH = 16, 16
MOST_A_PROCESS = 1000
EXITS_WITHIN_S = 60.0

Load = Callable[[Service, Request, int], Tally]


def measure(setting: Setting) -> list[Round]:
    """Restart the service under load until enough requests were sent."""
    request = encoded(encode(setting.pictures(1)[0], "PNG"))
    return [
        _round(setting, request, setting.requests // setting.rounds) for _ in range(setting.rounds)
    ]


def _round(setting: Setting, request: Request, wanted: int) -> Round:
    most = min(MOST_A_PROCESS, wanted)
    measured = Counter(_one(setting, request, most, _behind_a_balancer))
    while measured["requests"] < wanted:
        measured.update(_one(setting, request, most, _behind_a_balancer))
    blind = _one(setting, request, most, _until_nobody_listens)
    return {
        **{name: float(value) for name, value in measured.items()},
        "exits but 0": float(measured["exits but 0"] + blind["exits but 0"]),
        "restarts": float(measured["restarts"] + 1),
        "blind requests": float(blind["requests"]),
        "blind requests without an answer": float(blind["failed"]),
    }


def _one(setting: Setting, request: Request, most: int, load: Load) -> dict[str, int]:
    with served(setting) as service:
        tally = load(service, request, most)
        code = service.process.exit_code(EXITS_WITHIN_S)
    return {
        "requests": tally.sent,
        "failed": tally.failed + tally.unread + tally.refused,
        "exits but 0": int(code != 0),
        "restarts": 1,
    }


def _behind_a_balancer(service: Service, request: Request, most: int) -> Tally:
    """Ask, end the process half-way, and go on asking until /readyz says that it goes."""
    with balanced(service.port) as balancer:
        return closed_loop(
            Lines(service.port, request, kept=KEPT, fresh=FRESH),
            requests=most,
            actions={most // 2: service.process.terminate},
            wanted=balancer.sends,
        )


def _until_nobody_listens(service: Service, request: Request, most: int) -> Tally:
    """Ask, end the process half-way, and go on until connections are refused.

    What a client of a refused connection would have asked is not sent, so it does not fail.
    """
    tally = closed_loop(
        Lines(service.port, request, kept=KEPT, fresh=FRESH),
        actions={most // 2: service.process.terminate},
    )
    return replace(tally, refused=0)


def _count(title: str, name: str, of: str) -> Figure:
    return Figure(
        title=f"SIGTERM under load: {title}",
        formula=lambda measured: measured[name],
        form="{:.0f}",
        goal=at_most(0),
        over_rounds=sum,
        of=of,
    )


ROWS = {
    "sigterm": Row(
        measure=measure,
        figures=[
            _count("failed requests", "failed", "requests"),
            _count("exits with another code than 0", "exits but 0", "restarts"),
            _count(
                "failed while clients ask on until nobody listens",
                "blind requests without an answer",
                "blind requests",
            ),
        ],
        light=False,
    )
}
