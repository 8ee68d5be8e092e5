"""Row `overload`: twice the peak load in an open loop; goodput, latency of a 429, memory."""

import time

from benchmarks.serving.audit import DIFFERENCE, Audit
from benchmarks.serving.config import Config, Round
from benchmarks.serving.load.generator import ConnectionPool, closed_loop, open_loop
from benchmarks.serving.load.tally import Tally
from benchmarks.serving.requests import Request, encode, encoded
from benchmarks.serving.rows.figure import Figure, Row, at_least, at_most, failures, ratio
from benchmarks.serving.service import Service, served

CLIENTS_AT_PEAK = 64
# Far more than are in flight at any time, so that every request is sent when it is due.
CONNECTIONS = 512
TIMES_PEAK = 2.0
TOO_MANY = 429


def measure(config: Config) -> list[Round]:
    """Measure the peak, then the overload, with the same generator."""
    request = encoded(encode(config.images(1)[0], "PNG"))
    with served(config) as service:
        _peak(service, request, config.seconds)
        return [_round(config, service, request) for _ in range(config.rounds)]


def _round(config: Config, service: Service, request: Request) -> Round:
    audit = Audit(service.port)
    peak = _peak(service, request, config.seconds)
    service.process.reset_peak()
    bytes_before, used = service.process.peak_bytes(), time.process_time()
    overload = open_loop(
        ConnectionPool(service.port, request, kept=CONNECTIONS),
        rate=TIMES_PEAK * peak.goodput,
        duration_s=config.overload_s,
    )
    used = time.process_time() - used
    for tally in (peak, overload):
        audit.add(tally)
    return {
        "peak/s": peak.goodput,
        "goodput/s": overload.goodput,
        "offered/s": TIMES_PEAK * peak.goodput,
        "429 p99 ms": overload.latency_ms(TOO_MANY, 0.99),
        "200 p99 ms": overload.latency_ms(200, 0.99),
        "memory growth": service.process.peak_bytes() / bytes_before - 1,
        "generator, CPUs": used / overload.elapsed_s,
        "broken": float(overload.broken + overload.unread + overload.refused),
        **{f"responses {status}": float(count) for status, count in overload.statuses.items()},
        **failures(peak),
        DIFFERENCE: audit.difference(),
    }


def _peak(service: Service, request: Request, duration_s: float) -> Tally:
    return closed_loop(
        ConnectionPool(service.port, request, kept=CLIENTS_AT_PEAK), duration_s=duration_s
    )


TITLE = "twice the peak load"

ROWS = {
    "overload": Row(
        measure=measure,
        figures=[
            Figure(
                title=f"{TITLE}: goodput over peak",
                formula=ratio("goodput/s", "peak/s"),
                goal=at_least(0.95),
                light=False,
            ),
            Figure(
                title=f"{TITLE}: p99 of a 429",
                formula=lambda measured: measured["429 p99 ms"],
                form="{:.1f} ms",
                goal=at_most(30),
            ),
            Figure(
                title=f"{TITLE}: growth of memory",
                formula=lambda measured: measured["memory growth"],
                form="{:.1%}",
                goal=at_most(0.10),
            ),
        ],
    )
}
