"""The load generators count every response by its status, and every request without one."""

import math
import shutil
import socket
import time
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.serving import service
from benchmarks.serving.config import NotAvailable
from benchmarks.serving.load import wrk
from benchmarks.serving.load.client import Head, parse_head
from benchmarks.serving.load.generator import ConnectionPool, closed_loop, open_loop
from benchmarks.serving.load.tally import Tally
from benchmarks.serving.processes import free_port
from benchmarks.serving.requests import Request, raw
from tests.benchmarks.serving.conftest import Plan, PlannedServer

Start = Callable[[Plan], PlannedServer]

REQUEST = Request(content_type="image/png", body=b"picture")
RESPONSE = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 5\r\nRetry-After: 1\r\n\r\nlater"
WRK_OUTPUT = """\
Running 3s test @ http://127.0.0.1:1/predict
Requests/sec: 10
{"duration_us": 2500000, "broken": 1, "refused": 2, "statuses": {"200": 30, "429": 5}}
"""


def test_load_client_completes_a_response_with_its_last_byte() -> None:
    assert [parse_head(RESPONSE[:end]) for end in range(len(RESPONSE))] == [None] * len(RESPONSE)
    assert parse_head(RESPONSE) == Head(429, closes=False)
    last = RESPONSE.replace(b"Retry-After: 1", b"Connection: Close")
    assert parse_head(last) == Head(429, closes=True)


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
)
def test_load_client_rejects_responses_that_it_cannot_parse(data: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_head(data)


def test_tally_counts_failed_requests_without_unread_and_refused_ones() -> None:
    tally = Tally(elapsed_s=2.0, statuses={200: 6, 429: 3, 500: 1}, broken=2, unread=4, refused=8)
    assert tally.sent == 10 + 2 + 4
    assert tally.failed == 3 + 1 + 2
    assert tally.goodput == 3


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_tally_percentile_equals_numpys_inverted_cdf(share: float) -> None:
    latencies = np.random.default_rng(0).exponential(size=137)
    tally = Tally(elapsed_s=1, statuses={}, latencies_s={429: latencies.tolist()})
    expected = np.quantile(latencies, share, method="inverted_cdf") * 1000
    assert tally.latency_ms(429, share) == pytest.approx(expected, rel=1e-12)
    assert math.isnan(tally.latency_ms(504, share))


def test_closed_loop_sends_the_requests_and_counts_statuses(planned: Start) -> None:
    server = planned(lambda number: 429 if number % 4 == 0 else 200)
    done: list[int] = []
    tally = closed_loop(
        ConnectionPool(server.port, REQUEST, kept=3),
        requests=20,
        actions={4: lambda: done.append(4), 9: lambda: done.append(9)},
    )
    assert tally.statuses == {200: 15, 429: 5}
    assert tally.sent == 20
    assert tally.failed == 5
    assert {len(values) for values in tally.latencies_s.values()} == {15, 5}
    assert server.bodies == [b"picture"] * 20
    assert len(server.connections) == 3
    assert done == [4, 9]


def test_closed_loop_sends_one_request_per_fresh_connection(planned: Start) -> None:
    server = planned(lambda _: 200)
    tally = closed_loop(ConnectionPool(server.port, REQUEST, kept=0, fresh=2), requests=10)
    assert tally.statuses == {200: 10}
    assert len(server.connections) == 10


def test_closed_loop_counts_broken_connections_and_opens_them_again(planned: Start) -> None:
    server = planned(lambda number: None if number in {2, 5} else 200)
    tally = closed_loop(ConnectionPool(server.port, REQUEST, kept=1), requests=8)
    assert tally.statuses == {200: 6}
    assert tally.broken == tally.failed == 2
    assert tally.sent == 8
    assert len(server.connections) == 3


def test_closed_loop_sends_nothing_over_refused_connections(planned: Start) -> None:
    tally = closed_loop(ConnectionPool(free_port(), REQUEST, kept=3), requests=5)
    assert (tally.refused, tally.sent) == (3, 0)
    server = planned(lambda _: 200)
    pool = ConnectionPool(server.port, REQUEST, kept=0, fresh=4)
    tally = closed_loop(pool, requests=1000, actions={8: server.stop})
    assert tally.refused == 4
    assert tally.sent < 1000


def test_connection_pool_opens_a_connection_only_for_a_request() -> None:
    """A server that shuts down closes a connection over which no request arrives."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        pool = ConnectionPool(listener.getsockname()[1], REQUEST, kept=2, fresh=2)
        with pytest.raises(BlockingIOError):
            listener.accept()
        pool.send(due=0.0)
        listener.accept()[0].close()
        pool.collect(timeout_s=10)
        assert (pool.idle, pool.busy) == (4, 0)
        with pytest.raises(BlockingIOError):
            listener.accept()
        pool.close(elapsed_s=1.0)


def test_closed_loop_waits_for_the_last_responses(planned: Start) -> None:
    server = planned(lambda _: 200)
    pool = ConnectionPool(server.port, REQUEST, kept=2)
    tally = closed_loop(pool, active=lambda: len(server.bodies) < 30)
    assert tally.statuses == {200: len(server.bodies)}
    assert tally.unread == 0
    assert 30 <= len(server.bodies) <= 32


def test_open_loop_sends_at_its_rate(planned: Start) -> None:
    server = planned(lambda number: 503 if number % 2 else 200)
    pool = ConnectionPool(server.port, REQUEST, kept=4)
    tally = open_loop(pool, rate=200, duration_s=0.25)
    assert tally.sent == sum(tally.statuses.values()) == 50
    # The last request is due at 49 / 200 s, and none is sent before it is due.
    assert tally.elapsed_s >= 49 / 200


def test_open_loop_latency_counts_from_the_time_at_which_a_request_was_due(planned: Start) -> None:
    """The only connection is busy for .2 s: a request that is due after .01 s waits for .19 s."""

    def stall(number: int) -> int:
        if number == 1:
            time.sleep(0.2)
        return 200

    pool = ConnectionPool(planned(stall).port, REQUEST, kept=1)
    first, second, third = open_loop(pool, rate=100, duration_s=0.03).latencies_s[200]
    assert first >= 0.2
    assert second >= 0.19
    assert third >= 0.18


def test_balancer_removes_a_service_that_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter([True, True, False, True])
    monkeypatch.setattr(service, "POLL_S", 0.01)
    monkeypatch.setattr(service, "is_ready", lambda _: next(states))
    deadline = time.monotonic() + 30
    with service.balanced(1) as is_in_service:
        while is_in_service():
            assert time.monotonic() < deadline
    assert list(states) == [True]


def test_wrk_output_is_parsed_from_its_last_line() -> None:
    tally = wrk.parse(WRK_OUTPUT, connections=64)
    assert tally.statuses == {200: 30, 429: 5}
    assert tally.goodput == 12
    assert (tally.broken, tally.refused, tally.unread) == (1, 2, 64)


def test_wrk_is_not_available_if_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotAvailable, match="wrk is not installed"):
        wrk.require()


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_sends_the_request_and_counts_statuses(planned: Start) -> None:
    server = planned(lambda number: 429 if number % 3 == 0 else 200)
    request = raw(np.zeros((1, 2, 2, 3), np.uint8))
    tally = wrk.load(server.port, request, connections=2, duration_s=1)
    answered = sum(tally.statuses.values())
    assert set(tally.statuses) == {200, 429}
    assert answered <= len(server.bodies) <= answered + 2
    assert set(server.bodies) == {bytes(12)}
