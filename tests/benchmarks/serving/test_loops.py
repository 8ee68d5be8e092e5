"""Every answer is counted by its status, and every request that gets none."""

import time
from collections.abc import Callable

import pytest

from benchmarks.serving import balancer
from benchmarks.serving.load.lines import Lines
from benchmarks.serving.load.loops import closed_loop, open_loop
from benchmarks.serving.ports import free_port
from benchmarks.serving.requests import Request
from tests.benchmarks.serving.conftest import Plan, PlannedServer

Start = Callable[[Plan], PlannedServer]

REQUEST = Request(content_type="image/png", body=b"picture")


def test_a_closed_loop_sends_so_many_requests_and_counts_them_by_status(planned: Start) -> None:
    server = planned(lambda number: 429 if number % 4 == 0 else 200)
    tally = closed_loop(Lines(server.port, REQUEST, kept=3), requests=20)
    assert tally.answers == {200: 15, 429: 5}
    assert tally.sent == 20
    assert tally.failed == 5
    assert {len(values) for values in tally.latencies_s.values()} == {15, 5}
    assert server.bodies == [b"picture"] * 20
    assert len(server.connections) == 3


def test_fresh_connections_carry_one_request_each(planned: Start) -> None:
    server = planned(lambda _: 200)
    tally = closed_loop(Lines(server.port, REQUEST, kept=0, fresh=2), requests=10)
    assert tally.answers == {200: 10}
    assert len(server.connections) == 10


def test_a_connection_that_closes_without_an_answer_is_broken_and_opened_anew(
    planned: Start,
) -> None:
    server = planned(lambda number: None if number in {2, 5} else 200)
    tally = closed_loop(Lines(server.port, REQUEST, kept=1), requests=8)
    assert tally.answers == {200: 6}
    assert tally.broken == 2
    assert tally.failed == 2
    assert tally.sent == 8
    assert len(server.connections) == 3


def test_connections_that_are_refused_sent_nothing() -> None:
    tally = closed_loop(Lines(free_port(), REQUEST, kept=3), requests=5)
    assert tally.refused == 3
    assert tally.sent == 0


def test_clients_of_a_server_that_goes_away_give_up(planned: Start) -> None:
    server = planned(lambda _: 200)

    def goes_away() -> None:
        server.shutdown()
        server.server_close()

    tally = closed_loop(
        Lines(server.port, REQUEST, kept=0, fresh=4), requests=1000, actions={8: goes_away}
    )
    assert tally.refused == 4
    assert tally.sent < 1000


def test_an_action_is_done_once_after_so_many_requests(planned: Start) -> None:
    server = planned(lambda _: 200)
    done: list[int] = []
    closed_loop(
        Lines(server.port, REQUEST, kept=2),
        requests=9,
        actions={4: lambda: done.append(4), 9: lambda: done.append(9)},
    )
    assert done == [4, 9]


def test_a_closed_loop_ends_with_the_answers_of_what_it_sent(planned: Start) -> None:
    server = planned(lambda _: 200)
    tally = closed_loop(Lines(server.port, REQUEST, kept=2), wanted=lambda: len(server.bodies) < 30)
    assert tally.answers == {200: len(server.bodies)}
    assert tally.unread == 0
    assert 30 <= len(server.bodies) <= 32


def test_a_balancer_leaves_a_process_alone_once_it_is_not_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = iter([True, True, False, True])
    monkeypatch.setattr(balancer, "LOOKS_EVERY_S", 0)
    monkeypatch.setattr(balancer, "is_ready", lambda _: next(said))
    watched = balancer.Balancer(1)
    assert watched.sends()
    watched.watch()
    assert not watched.sends()
    assert list(said) == [True]


def test_an_open_loop_sends_at_its_rate_whatever_comes_back(planned: Start) -> None:
    server = planned(lambda number: 503 if number % 2 else 200)
    tally = open_loop(Lines(server.port, REQUEST, kept=4), rate=200, duration_s=0.25)
    assert tally.sent == 50
    assert sum(tally.answers.values()) == 50
    # The last is due at 49 / 200 s, and none is sent before it is due.
    assert tally.elapsed_s >= 49 / 200


def test_a_latency_counts_from_when_the_request_was_due(planned: Start) -> None:
    """The one connection is held up for .2 s: what was due 1 / 100 s later waited .19 s as well."""

    def stalls(number: int) -> int:
        if number == 1:
            time.sleep(0.2)
        return 200

    tally = open_loop(Lines(planned(stalls).port, REQUEST, kept=1), rate=100, duration_s=0.03)
    first, second, third = tally.latencies_s[200]
    assert first >= 0.2
    assert second >= 0.19
    assert third >= 0.18
