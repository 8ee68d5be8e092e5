"""One PNG a request from 64 clients: ours beside other servers of the same graph."""

import time
from collections.abc import Sequence

from benchmarks.serving.audit import DIFFERENCE, Audit
from benchmarks.serving.contenders import OURS, Contender, awake, started
from benchmarks.serving.load import wrk
from benchmarks.serving.load.tally import Tally
from benchmarks.serving.peers.registry import SERVERS_IN_PYTHON
from benchmarks.serving.pictures import encode
from benchmarks.serving.rows.figure import Figure, Row, at_least, ratio
from benchmarks.serving.rows.rates import failures
from benchmarks.serving.setting import Round, Setting

CLIENTS = 64
# BentoML's batcher trains on its first requests; others fill their caches.
WARM_UP_S = 2
AWAKE_S = 1
# What a load left behind is finished before the next one counts.
PAUSE_S = 0.5


def measure(setting: Setting) -> list[Round]:
    """Measure every server in every round, in an order that turns."""
    png = encode(setting.pictures(1)[0], "PNG")
    with started(setting, png) as contenders:
        for contender in contenders.values():
            with awake(contender):
                _load(contender, WARM_UP_S)
        return [_round(setting, contenders, turn) for turn in range(setting.rounds)]


def _round(setting: Setting, contenders: dict[str, Contender], turn: int) -> Round:
    measured: Round = {}
    for name in _turned(list(contenders), turn):
        with awake(contenders[name]) as contender:
            _load(contender, AWAKE_S)
            audit = Audit(contender.port) if name == OURS else None
            tally = _load(contender, setting.seconds)
            measured |= {name: tally.goodput, **failures(tally, name)}
            if audit is not None:
                audit.add(tally)
                measured[DIFFERENCE] = audit.difference()
    return measured


def _load(contender: Contender, duration_s: int) -> Tally:
    tally = wrk.load(contender.port, contender.request, connections=CLIENTS, duration_s=duration_s)
    time.sleep(PAUSE_S)
    return tally


def _turned(names: Sequence[str], turn: int) -> list[str]:
    start = turn % len(names)
    return [*names[start:], *names[:start]]


def over_the_best(measured: Round) -> float:
    """Ours over the fastest of LitServe, BentoML and MLServer in that round."""
    return measured[OURS] / max(measured[name] for name in SERVERS_IN_PYTHON)


TITLE = "single PNG, 64 clients, over"

ROWS = {
    "single": Row(
        measure=measure,
        figures=[
            Figure(
                title=f"{TITLE} the best of LitServe, BentoML and MLServer",
                formula=over_the_best,
                goal=at_least(2),
            ),
            Figure(title=f"{TITLE} mosec", formula=ratio(OURS, "mosec"), goal=at_least(1)),
            Figure(
                title=f"{TITLE} a bare Starlette handler that answers a constant",
                formula=ratio(OURS, "starlette"),
                goal=at_least(0.7),
            ),
        ],
    )
}
