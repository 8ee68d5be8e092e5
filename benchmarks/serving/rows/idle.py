"""Row `idle`: CPU use without requests, and the time from the start until ready."""

import time

from benchmarks.serving.config import Config, Round
from benchmarks.serving.load import wrk
from benchmarks.serving.requests import encode, encoded
from benchmarks.serving.rows.figure import Figure, Row, at_most
from benchmarks.serving.service import served

CLIENTS = 64
SETTLE_S = 2.0
IDLE_S = 10.0


def measure(config: Config) -> list[Round]:
    """Start a service, load it for a second, then send nothing."""
    return [_round(config) for _ in range(config.rounds)]


def _round(config: Config) -> Round:
    request = encoded(encode(config.images(1)[0], "PNG"))
    with served(config) as service:
        ready_cpu_s = service.process.cpu_s()
        wrk.load(service.port, request, connections=CLIENTS, duration_s=1)
        time.sleep(SETTLE_S)
        used, start = service.process.cpu_s(), time.perf_counter()
        time.sleep(IDLE_S)
        used, elapsed = service.process.cpu_s() - used, time.perf_counter() - start
    return {
        "idle, CPUs": used / elapsed,
        "ready after s": service.ready_s,
        "CPU s until ready": ready_cpu_s,
    }


ROWS = {
    "idle": Row(
        measure=measure,
        figures=[
            Figure(
                title="idle: share of a core",
                formula=lambda measured: measured["idle, CPUs"],
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
