"""The number of replicas for a rate and a limit on the response time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from oodguard.service.capacity.bulk_queue import (
    MAX_LOAD,
    BatchServer,
    busy_share,
    largest_rate,
    response_quantile_s,
)
from oodguard.service.capacity.costs import LoadCheck, ModelCosts, PictureCost
from oodguard.service.errors import CapacityError

SHARE = 0.99

MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True)
class CapacityPlan:
    """Replicas for a rate, and what they cost.

    Attributes:
        rate: Verdicts per second.
        replicas: Number of replicas.
        cpus: CPUs of all replicas, with one worker each.
        load: The rate as a share of the largest rate of these CPUs.
        busy: The share of the time in which a CPU is used. It is above `load`: smaller batches are
            less efficient.
        p99_ms: The response time to plan with, in milliseconds: that of the model times the factor.
        model_p99_ms: That of the model alone, a lower bound.
        p99_factor: How many times as long the responses took in the check, up to this load; None:
            nothing was checked.
        rate_per_cpu: The largest rate of one CPU within the limit on the response time.
        saturated_rate_per_cpu: The largest rate of one CPU, whatever the response time.
        cpu_s_per_million: CPU seconds of a million verdicts at this rate.
        saturated_cpu_s_per_million: The same if every batch is full.
        cpu_hours_per_day: CPU hours that the verdicts of a day use.
        memory_bytes: Memory of all replicas when idle.
    """

    rate: float
    replicas: int
    cpus: int
    load: float
    busy: float
    p99_ms: float
    model_p99_ms: float
    p99_factor: float | None
    rate_per_cpu: float
    saturated_rate_per_cpu: float
    cpu_s_per_million: float
    saturated_cpu_s_per_million: float
    cpu_hours_per_day: float
    memory_bytes: int


def plan(
    model: ModelCosts, picture: PictureCost, *, rate: float, p99_ms: float, cpus_per_replica: int
) -> CapacityPlan:
    """Return the smallest number of replicas.

    Clients are spread at random over the workers, so each worker has its part of the rate and a
    queue of its own. The response time is that of the model, times the largest factor that was
    measured up to this load; a load above the measured ones is not planned.

    Raises:
        CapacityError: One request on an idle CPU takes longer than the limit.
    """
    server = picture.server()
    steps = _steps(model.checks)
    rate_per_cpu = _largest_rate(server, p99_ms / 1000, steps)
    if rate_per_cpu <= 0:
        least_ms = picture.alone_s * 1000 * steps[0].factor
        raise CapacityError(
            f"--p99-ms is {p99_ms:g}, expected more than {least_ms:.3g}: a request takes that long"
            " on an idle CPU"
        )
    replicas = math.ceil(rate / (rate_per_cpu * cpus_per_replica))
    cpus = replicas * cpus_per_replica
    each = rate / cpus
    busy = busy_share(server, each)
    model_p99_ms = response_quantile_s(server, each, SHARE) * 1000
    # A rounding error may put the load above its step.
    factor = next((at.factor for at in steps if each <= at.load * server.capacity * 1.000001), 1.0)
    per_verdict_s = busy / each
    worker_bytes = (cpus_per_replica - 1) * model.each_worker_bytes
    return CapacityPlan(
        rate=rate,
        replicas=replicas,
        cpus=cpus,
        load=each / server.capacity,
        busy=busy,
        p99_ms=model_p99_ms * factor,
        model_p99_ms=model_p99_ms,
        p99_factor=factor if model.checks else None,
        rate_per_cpu=rate_per_cpu,
        saturated_rate_per_cpu=server.capacity,
        cpu_s_per_million=per_verdict_s * MILLION,
        saturated_cpu_s_per_million=MILLION / server.capacity,
        cpu_hours_per_day=busy * cpus * 24,
        memory_bytes=replicas * (model.first_worker_bytes + worker_bytes),
    )


@dataclass(frozen=True, kw_only=True)
class _Step:
    """The loads up to `load`, at which responses take `factor` times as long as predicted."""

    load: float
    factor: float


def _steps(checks: Sequence[LoadCheck]) -> list[_Step]:
    """Return steps with ascending loads and factors."""
    if not checks:
        return [_Step(load=MAX_LOAD, factor=1.0)]
    factors = accumulate((each.factor for each in checks), max)
    return [
        _Step(load=min(each.load, MAX_LOAD), factor=factor)
        for each, factor in zip(checks, factors, strict=True)
    ]


def _largest_rate(server: BatchServer, limit_s: float, steps: Sequence[_Step]) -> float:
    best = 0.0
    for step in steps:
        rate = largest_rate(server, SHARE, limit_s / step.factor, step.load)
        if rate <= best:
            break
        best = rate
    return best
