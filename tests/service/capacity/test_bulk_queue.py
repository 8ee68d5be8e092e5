"""The queueing model of a worker, compared with a simulation and with formulas by hand."""

import math

import numpy as np
import pytest

from oodguard.service.capacity.bulk_queue import (
    MAX_LOAD,
    BatchServer,
    busy_share,
    largest_rate,
    response_quantile_s,
)

SERVER = BatchServer(fixed_s=0.0004, each_s=0.00035)
SINGLE = BatchServer(fixed_s=0.0, each_s=0.001)


def simulate(server: BatchServer, rate: float, requests: int = 200_000) -> tuple[float, float]:
    """Return the 99th percentile of the response time and the share of busy time."""
    times = np.cumsum(np.random.default_rng(0).exponential(1 / rate, requests))
    responses = np.empty(requests)
    first, now, busy = 0, 0.0, 0.0
    while first < requests:
        now = max(now, float(times[first]))
        waiting = int(np.searchsorted(times, now, side="right"))
        last = min(waiting, first + server.max_batch)
        run_s = server.fixed_s + server.each_s * (last - first)
        now, busy = now + run_s, busy + run_s
        responses[first:last] = now - times[first:last]
        first = last
    return float(np.quantile(responses, 0.99)), busy / now


@pytest.mark.parametrize("load", [0.1, 0.5, 0.8])
def test_capacity_model_agrees_with_a_simulation(load: float) -> None:
    rate = load * SERVER.capacity
    p99_s, busy = simulate(SERVER, rate)
    assert response_quantile_s(SERVER, rate, 0.99) == pytest.approx(p99_s, rel=0.05)
    assert busy_share(SERVER, rate) == pytest.approx(busy, rel=0.01)


def test_capacity_model_without_a_fixed_cost_is_busy_for_its_load() -> None:
    # Batches save nothing then, so the busy share of any queue is rate x time.
    assert busy_share(SINGLE, 300) == pytest.approx(0.3)
    assert SINGLE.capacity == pytest.approx(1000)


def test_capacity_model_of_a_rare_request_is_one_request() -> None:
    # One request in 10,000 finds another one: nearly all take T(1).
    assert response_quantile_s(SERVER, 0.1, 0.99) == pytest.approx(0.00075, rel=1e-6)
    assert busy_share(SERVER, 0.1) == pytest.approx(0.1 * 0.00075, rel=1e-3)


def test_capacity_model_of_a_moderate_rate_by_hand() -> None:
    # With b = 0 and a small rate l: a request finds the worker idle with probability 1 / (1 + l a)
    # and takes a, else it waits for the rest of a batch, uniform in [0, a], and takes a.
    server = BatchServer(fixed_s=1.0, each_s=1e-12)
    rate = 0.5
    cycles_busy = rate * 1.0
    cycles_idle = math.exp(-rate * 1.0)
    share = cycles_busy / (cycles_busy + cycles_idle)
    # P(R > 1 + x) = share (1 - x), so the quantile q has x = 1 - (1 - q) / share.
    expected = 1 + 1 - 0.1 / share
    assert response_quantile_s(server, rate, 0.9) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("limit_s", [0.002, 0.01])
def test_capacity_largest_rate_meets_the_limit_and_no_more(limit_s: float) -> None:
    rate = largest_rate(SERVER, 0.99, limit_s)
    assert response_quantile_s(SERVER, rate, 0.99) <= limit_s
    assert response_quantile_s(SERVER, rate * 1.01, 0.99) > limit_s


def test_capacity_largest_rate_is_limited_by_the_load_and_by_one_request() -> None:
    assert largest_rate(SERVER, 0.99, 10.0) == pytest.approx(MAX_LOAD * SERVER.capacity)
    assert largest_rate(SERVER, 0.99, 0.0007) == 0
