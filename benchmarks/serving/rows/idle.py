"""Nobody asks: what the service costs all the same, and how soon it is there."""

import time

from benchmarks.serving.load import wrk
from benchmarks.serving.pictures import encode
from benchmarks.serving.requests import encoded
from benchmarks.serving.rows.figure import Figure, Row, at_most
from benchmarks.serving.service import served
from benchmarks.serving.setting import Round, Setting

CLIENTS = 64
SETTLES_S = 2.0
IDLE_S = 10.0


def measure(setting: Setting) -> list[Round]:
    """Start a service, load it for a second, then leave it alone."""
    return [_round(setting) for _ in range(setting.rounds)]


def _round(setting: Setting) -> Round:
    request = encoded(encode(setting.pictures(1)[0], "PNG"))
    with served(setting) as service:
        started_cpu_s = service.process.cpu_s()
        wrk.load(service.port, request, connections=CLIENTS, duration_s=1)
        time.sleep(SETTLES_S)
        used, began = service.process.cpu_s(), time.perf_counter()
        time.sleep(IDLE_S)
        used, elapsed = service.process.cpu_s() - used, time.perf_counter() - began
    return {
        "idle, processors": used / elapsed,
        "ready after s": service.ready_s,
        "processor s until ready": started_cpu_s,
    }


ROWS = {
    "idle": Row(
        measure=measure,
        figures=[
            Figure(
                title="idle: share of a core",
                formula=lambda measured: measured["idle, processors"],
                form="{:.2%}",
                goal=at_most(0.01),
            ),
            Figure(
                title="from start to ready",
                formula=lambda measured: measured["ready after s"],
                form="{:.2f} s",
            ),
        ],
        light=False,
    )
}
