"""The memory budget, by hand, and its comparison with the limit."""

import re

import pytest

from oodguard.models.manifest import InputSpec
from oodguard.service.errors import MemoryLimitError
from oodguard.service.images.decode_memory import largest_decode_bytes
from oodguard.service.memory import MemoryLimit
from oodguard.service.prediction.memory_budget import (
    CONNECTIONS_BYTES,
    MemoryBudget,
    ModelMemory,
    check_memory,
    memory_budget,
)
from oodguard.service.settings import Settings

MIB = 2**20
SPEC = InputSpec(height=10, width=20)
MODEL = ModelMemory(spec=SPEC, runs=3, run_bytes=7 * MIB, load_bytes=5 * MIB, response_bytes=1000)


def test_memory_budget_counts_what_each_worker_has() -> None:
    settings, models = Settings(max_body_bytes=MIB, max_pending_bytes=10 * MIB), [MODEL]
    one, four = (
        memory_budget(settings, idle=9, decode_threads=2, models=models, workers=workers)
        for workers in (1, 4)
    )
    for each in ("runs", "small_decodes", "reload"):
        assert getattr(four, each) == 4 * getattr(one, each)
    for each in ("idle", "images", "large_decodes", "samples", "responses", "connections"):
        assert getattr(four, each) == getattr(one, each)
    assert (one.bodies, four.bodies) == (22 * MIB, 28 * MIB)


def test_memory_budget_adds_the_limits_of_every_purpose() -> None:
    settings = Settings(
        max_pixels=10**6,
        max_body_bytes=2 * MIB,
        max_pending_bytes=10 * MIB,
        max_pending_images=100,
        max_images=100,
        max_batch=8,
    )
    budget = memory_budget(settings, idle=100 * MIB, decode_threads=4, models=[MODEL])
    assert budget == MemoryBudget(
        idle=100 * MIB,
        # Each body and its copy; four threads parse bodies of 2 MiB.
        bodies=2 * 10 * MIB + 4 * 2 * MIB,
        images=100 * 600,
        # One buffer for each run and one for the event loop; the first run is part of the idle
        # memory.
        runs=4 * 8 * 600 + 2 * 7 * MIB,
        small_decodes=5 * 16 * MIB,
        large_decodes=largest_decode_bytes(SPEC, max_pixels=10**6, max_bytes=2 * MIB),
        samples=0,
        # Those of the images in flight, and those that are not read.
        responses=100 * 1000 + 64 * MIB,
        reload=12 * MIB,
    )
    assert budget.connections == CONNECTIONS_BYTES == 64 * MIB
    assert budget.total == sum(
        (
            100 * MIB,
            28 * MIB,
            60_000,
            19_200 + 14 * MIB,
            80 * MIB,
            budget.large_decodes,
            100_000 + 64 * MIB,
            64 * MIB + 12 * MIB,
        )
    )


def test_memory_budget_parses_no_more_than_the_bodies_in_flight() -> None:
    settings = Settings(max_body_bytes=10 * MIB, max_pending_bytes=10 * MIB)
    budget = memory_budget(settings, idle=0, decode_threads=64, models=[MODEL])
    assert budget.bodies == 3 * 10 * MIB


def test_memory_budget_takes_the_largest_model_and_the_runs_of_all() -> None:
    large = ModelMemory(
        spec=InputSpec(height=100, width=100),
        runs=1,
        run_bytes=MIB,
        load_bytes=90 * MIB,
        response_bytes=MIB,
    )
    settings = Settings(max_pending_images=1000, max_batch=1)
    budget = memory_budget(settings, idle=0, decode_threads=1, models=[MODEL, large])
    assert budget.images == 1000 * 30_000
    assert budget.runs == 4 * 600 + 2 * 30_000 + 14 * MIB
    assert budget.reload == 91 * MIB
    # The largest response, of 256 images, exceeds the limit of those that are not read.
    assert budget.responses == (1000 + 256) * MIB


def test_memory_budget_of_the_defaults_fits_into_the_default_container() -> None:
    # docker-compose.yml: 2 GiB. GUARD_CPUS=4; cifar10-aloe takes 170 MB and 25 MB for each run.
    model = ModelMemory(
        spec=InputSpec(height=32, width=32),
        runs=4,
        run_bytes=25 * 10**6,
        load_bytes=25 * 10**6,
        response_bytes=1500,
    )
    budget = memory_budget(Settings(), idle=170 * 10**6, decode_threads=4, models=[model])
    limit = MemoryLimit(bytes=2 * 2**30, source="the cgroup")
    check_memory(budget, limit, Settings())
    assert budget.large_decodes < 330 * 10**6


def test_memory_budget_above_the_limit_is_refused_with_the_figures() -> None:
    settings = Settings()
    budget = memory_budget(settings, idle=10**8, decode_threads=2, models=[MODEL])
    check_memory(budget, MemoryLimit(bytes=budget.total, source="the machine"), settings)
    limit = MemoryLimit(bytes=512 * 10**6, source="the cgroup (x)")
    with pytest.raises(MemoryLimitError) as caught:
        check_memory(budget, limit, settings)
    text = str(caught.value)
    total = budget.megabytes()["total"]
    assert re.match(rf"The settings need up to {total} MB .* 512 MB of the cgroup \(x\): 100", text)
    for name in ("MAX_PIXELS is 25000000", f"MAX_PENDING_BYTES is {settings.max_pending_bytes}"):
        assert f"OODGUARD_{name}" in text
