"""wrk is driven by a script that counts every answer."""

import shutil
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.serving.load import wrk
from benchmarks.serving.requests import raw
from benchmarks.serving.setting import NotAvailable
from tests.benchmarks.serving.conftest import Plan, PlannedServer

OUTPUT = """\
Running 3s test @ http://127.0.0.1:1/predict
Requests/sec: 10
{"duration_us": 2500000, "broken": 1, "refused": 2, "answers": {"200": 30, "429": 5}}
"""


def test_what_the_script_prints_last_is_what_was_counted() -> None:
    tally = wrk.parse(OUTPUT, connections=64)
    assert tally.answers == {200: 30, 429: 5}
    assert tally.goodput == 12
    assert (tally.broken, tally.refused, tally.unread) == (1, 2, 64)


def test_a_missing_wrk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotAvailable, match="wrk is not installed"):
        wrk.require()


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_sends_the_request_and_counts_by_status(
    planned: Callable[[Plan], PlannedServer],
) -> None:
    server = planned(lambda number: 429 if number % 3 == 0 else 200)
    request = raw(np.zeros((1, 2, 2, 3), np.uint8))
    tally = wrk.load(server.port, request, connections=2, duration_s=1)
    answered = sum(tally.answers.values())
    assert set(tally.answers) == {200, 429}
    assert answered <= len(server.bodies) <= answered + 2
    assert set(server.bodies) == {bytes(12)}
