"""Twice as many requests as can be answered, whatever comes back: what is still answered?"""

import time

from benchmarks.serving.audit import DIFFERENCE, Audit
from benchmarks.serving.load.lines import Lines
from benchmarks.serving.load.loops import closed_loop, open_loop
from benchmarks.serving.load.tally import Tally
from benchmarks.serving.pictures import encode
from benchmarks.serving.requests import Request, encoded
from benchmarks.serving.rows.figure import Figure, Row, at_least, at_most, ratio
from benchmarks.serving.rows.rates import failures
from benchmarks.serving.service import Service, served
from benchmarks.serving.setting import Round, Setting

CLIENTS_AT_PEAK = 64
# Far more than wait at any time, so that a request goes out when it is due.
CONNECTIONS = 512
TIMES_PEAK = 2.0
TOO_MANY = 429


def measure(setting: Setting) -> list[Round]:
    """Measure the peak, then the overload, by the same generator."""
    request = encoded(encode(setting.pictures(1)[0], "PNG"))
    with served(setting) as service:
        _peak(service, request, setting.seconds)
        return [_round(setting, service, request) for _ in range(setting.rounds)]


def _round(setting: Setting, service: Service, request: Request) -> Round:
    audit = Audit(service.port)
    peak = _peak(service, request, setting.seconds)
    service.process.forget_peak()
    rss_before, used = service.process.peak_rss_bytes(), time.process_time()
    overload = open_loop(
        Lines(service.port, request, kept=CONNECTIONS),
        rate=TIMES_PEAK * peak.goodput,
        duration_s=setting.overload_s,
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
        "rss growth": service.process.peak_rss_bytes() / rss_before - 1,
        "generator, processors": used / overload.elapsed_s,
        "broken": float(overload.broken + overload.unread + overload.refused),
        **{f"answers {status}": float(count) for status, count in overload.answers.items()},
        **failures(peak),
        DIFFERENCE: audit.difference(),
    }


def _peak(service: Service, request: Request, duration_s: float) -> Tally:
    return closed_loop(Lines(service.port, request, kept=CLIENTS_AT_PEAK), duration_s=duration_s)


TITLE = "twice the peak's load"

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
                goal=at_most(50),
            ),
            Figure(
                title=f"{TITLE}: growth of resident memory",
                formula=lambda measured: measured["rss growth"],
                form="{:.1%}",
                goal=at_most(0.10),
            ),
        ],
    )
}
