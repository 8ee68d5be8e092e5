"""The response time of one worker: a queue whose server takes all that wait, as one batch.

Requests arrive as a Poisson process of rate l. A worker that becomes idle takes all n requests that
wait, at most `max_batch`, and answers them together after

    T(n) = a + b n

seconds of its CPU: an M/D/1 queue with bulk service (Bailey, J. R. Stat. Soc. B 16, 1954; Neuts,
Ann. Math. Stat. 38, 1967). The size of the next batch depends on that of the present one only. So
the sizes are a Markov chain, whose stationary distribution gives the distribution of the response
time without an approximation for fewer than `max_batch` waiting requests.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SEARCH_STEPS = 50
"""Halvings of an interval: the last one is smaller than the precision of a float."""

MAX_LOAD = 0.9
"""The largest share of the capacity: above it, the limit on the batch matters."""


@dataclass(frozen=True, kw_only=True)
class BatchServer:
    """The CPU time of a worker.

    Attributes:
        fixed_s: Seconds of each batch, a.
        each_s: Seconds of each request, b, above 0.
        max_batch: Maximum number of requests in a batch.
    """

    fixed_s: float
    each_s: float
    max_batch: int = 64

    @property
    def capacity(self) -> float:
        """The largest rate, in requests per second: every batch is full."""
        return self.max_batch / float(self.durations_s[-1])

    @property
    def durations_s(self) -> NDArray[np.float64]:
        """T(n) for n = 1, 2, ... `max_batch`."""
        sizes = np.arange(1, self.max_batch + 1, dtype=np.float64)
        return self.fixed_s + self.each_s * sizes


def busy_share(server: BatchServer, rate: float) -> float:
    """Return the share of the time in which the worker uses its CPU, at `rate` per second."""
    durations = server.durations_s
    sizes = _batch_sizes(server, rate)
    busy = sizes @ durations
    idle = sizes @ np.exp(-rate * durations) / rate
    return float(busy / (busy + idle))


def response_quantile_s(server: BatchServer, rate: float, share: float) -> float:
    """Return the time in which `share` of the responses arrive, in seconds, at `rate` per second.

    A request that arrives at a time u after the start of a batch of n waits T(n) - u, and takes
    T(k + 1) with the k others that arrive during that batch. One that finds the worker idle takes
    T(1).

    Args:
        server: The worker.
        rate: Requests per second, at most `MAX_LOAD` of its capacity.
        share: Such as 0.99.
    """
    durations = server.durations_s
    sizes = _batch_sizes(server, rate)
    others = _poisson(rate * durations, server.max_batch)
    found_busy = sizes * rate * durations
    found_idle = float(sizes @ np.exp(-rate * durations))
    total = float(found_busy.sum()) + found_idle

    def later_than(time_s: float) -> float:
        # P(T(n) - u > t - T(k + 1)) for u that is uniform in [0, T(n)].
        waits = np.clip(
            (durations[:, None] + durations[None, :] - time_s) / durations[:, None], 0, 1
        )
        busy = float(found_busy @ (others * waits).sum(axis=1))
        return (busy + (found_idle if time_s < durations[0] else 0.0)) / total

    low, high = 0.0, 2 * float(durations[-1])
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if later_than(middle) > 1 - share else (low, middle)
    return high


def largest_rate(
    server: BatchServer, share: float, limit_s: float, most_load: float = MAX_LOAD
) -> float:
    """Return the largest rate at which `share` of the responses arrive within `limit_s`.

    It is at most the share `most_load` of the capacity, and 0 if one request on an idle worker
    takes longer.
    """
    if server.fixed_s + server.each_s > limit_s:
        return 0.0
    low, high = 0.0, most_load * server.capacity
    if response_quantile_s(server, high, share) <= limit_s:
        return high
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        is_fast = response_quantile_s(server, middle, share) <= limit_s
        low, high = (middle, high) if is_fast else (low, middle)
    return low


def _batch_sizes(server: BatchServer, rate: float) -> NDArray[np.float64]:
    """Return the stationary distribution of the batch size, `(max_batch,)`."""
    arrivals = _poisson(rate * server.durations_s, server.max_batch + 1)
    # Without an arrival, the next batch is the request that arrives next.
    moves = arrivals[:, 1:].copy()
    moves[:, 0] += arrivals[:, 0]
    equations = np.vstack([moves.T - np.eye(server.max_batch), np.ones(server.max_batch)])
    result = np.zeros(server.max_batch + 1)
    result[-1] = 1
    return np.asarray(np.linalg.lstsq(equations, result, rcond=None)[0], np.float64)


def _poisson(means: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return P(N = k) for k = 0, 1, ... count - 1 and each mean; the last has the rest."""
    factorials = np.array([math.lgamma(k + 1) for k in range(count)])
    exponents = np.arange(count) * np.log(means)[:, None] - means[:, None] - factorials
    chances: NDArray[np.float64] = np.exp(exponents)
    chances[:, -1] += np.clip(1 - chances.sum(axis=1), 0, 1)
    return chances
