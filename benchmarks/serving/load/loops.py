"""When the next request is sent: as soon as an answer has come, or at its time whatever comes."""

import time
from collections.abc import Callable, Mapping

from benchmarks.serving.load.lines import Lines
from benchmarks.serving.load.tally import Tally

PATIENCE_S = 60.0
LONGEST_S = 120.0
TICK_S = 0.1

Action = Callable[[], object]


def closed_loop(
    lines: Lines,
    *,
    requests: int | None = None,
    duration_s: float = LONGEST_S,
    actions: Mapping[int, Action] | None = None,
    wanted: Callable[[], bool] = lambda: True,
) -> Tally:
    """Keep every connection busy, then wait for the last answers.

    Args:
        lines: What is sent, over how many connections.
        requests: Most requests.
        duration_s: Longest time in which requests are sent.
        actions: What is done after so many requests were sent.
        wanted: Whether to go on sending.
    """
    actions = dict(actions or {})
    began = last = time.perf_counter()
    sent = 0
    while True:
        now = time.perf_counter()
        over = now > began + duration_s or not wanted()
        while lines.idle and not over and (requests is None or sent < requests):
            lines.send(now)
            sent += 1
            if sent in actions:
                actions.pop(sent)()
        if not lines.busy or now > began + duration_s + PATIENCE_S:
            return lines.close(last - began)
        lines.collect(TICK_S)
        last = time.perf_counter()


def open_loop(lines: Lines, *, rate: float, duration_s: float) -> Tally:
    """Send a request every 1 / `rate` seconds, then wait for the last answers.

    Latency counts from when a request was to be sent: one that had to wait for a free connection,
    or for the generator itself, has waited all the same (no coordinated omission).

    Args:
        lines: What is sent; enough connections that one is always free, unless the server stalls.
        rate: Requests a second.
        duration_s: How long requests are sent.
    """
    total = round(rate * duration_s)
    began = last = time.perf_counter()
    sent = 0
    while True:
        now = time.perf_counter()
        due = min(total, int((now - began) * rate) + 1)
        while sent < due and lines.idle:
            lines.send(began + sent / rate)
            sent += 1
        if (sent == total and not lines.busy) or now > began + duration_s + PATIENCE_S:
            return lines.close(last - began)
        waits = sent == total or not lines.idle
        lines.collect(TICK_S if waits else max(0.0, began + sent / rate - now))
        last = time.perf_counter()
