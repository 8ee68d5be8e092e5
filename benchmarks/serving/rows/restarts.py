"""SIGTERM under load: every request that reached the process is answered before it exits with 0."""

from benchmarks.serving.load.lines import Lines
from benchmarks.serving.load.loops import closed_loop
from benchmarks.serving.pictures import encode
from benchmarks.serving.requests import Request, encoded
from benchmarks.serving.rows.figure import Figure, Row, at_most
from benchmarks.serving.service import start
from benchmarks.serving.setting import Round, Setting

# Half keep their connection and half open one for every request, as behind a proxy and without.
KEPT, FRESH = 16, 16
MOST_A_PROCESS = 500
EXITS_WITHIN_S = 60.0


def measure(setting: Setting) -> list[Round]:
    """Restart the service under load until enough requests were sent."""
    request = encoded(encode(setting.pictures(1)[0], "PNG"))
    return [
        _round(setting, request, setting.requests // setting.rounds) for _ in range(setting.rounds)
    ]


def _round(setting: Setting, request: Request, wanted: int) -> Round:
    measured = {"requests": 0.0, "failed": 0.0, "exits but 0": 0.0, "restarts": 0.0}
    while measured["requests"] < wanted:
        for name, value in _one(setting, request, min(MOST_A_PROCESS, wanted)).items():
            measured[name] = measured.get(name, 0.0) + value
    return measured


def _one(setting: Setting, request: Request, most: int) -> Round:
    """Serve, ask, end it half-way, and go on asking until nobody listens.

    A connection that is refused sent nothing, so nothing failed on it: its client asks the next
    process. A connection that was taken, or a request that was sent, counts.
    """
    service = start(setting)
    try:
        tally = closed_loop(
            Lines(service.port, request, kept=KEPT, fresh=FRESH),
            requests=most,
            actions={most // 2: service.process.terminate},
        )
        code = service.process.exit_code(EXITS_WITHIN_S)
    finally:
        service.process.stop()
    return {
        "requests": float(tally.sent),
        "failed": float(tally.failed + tally.unread),
        "failed by a broken connection": float(tally.broken),
        "exits but 0": float(code != 0),
        "restarts": 1.0,
    }


ROWS = {
    "sigterm": Row(
        measure=measure,
        figures=[
            Figure(
                title="SIGTERM under load: failed requests",
                formula=lambda measured: measured["failed"],
                form="{:.0f}",
                goal=at_most(0),
                over_rounds=sum,
                of="requests",
            ),
            Figure(
                title="SIGTERM under load: exits with another code than 0",
                formula=lambda measured: measured["exits but 0"],
                form="{:.0f}",
                goal=at_most(0),
                over_rounds=sum,
                of="restarts",
            ),
        ],
        light=False,
    )
}
