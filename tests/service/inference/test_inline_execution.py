"""Inline execution: which batches run in the event loop, and which in a thread."""

import asyncio
import threading

import pytest

from oodguard.service.inference import inline_execution
from tests.service.inference.fake_model import (
    POISON,
    FakeModel,
    hold,
    new_job,
    put,
    results,
    running,
)

pytestmark = pytest.mark.anyio

LOOP, THREAD = threading.main_thread().name, "engine"
ALWAYS_S = 1e6


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """A model whose batches always run inline, once its speed is known."""
    monkeypatch.setattr(inline_execution, "MIN_THREAD_RUN_S", ALWAYS_S)
    model = FakeModel()
    model.opened.set()
    return model


@pytest.fixture
def slow_model(model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """A model that runs inline for a single image only."""
    monkeypatch.setattr(inline_execution, "MIN_THREAD_RUN_S", -1)
    monkeypatch.setattr(inline_execution, "MAX_SINGLE_RUN_S", ALWAYS_S)
    return model


async def test_short_batches_run_in_the_event_loop(model: FakeModel) -> None:
    async with running(model, inline=True) as batcher:
        for _ in range(3):
            assert await results(put(batcher, new_job(1), new_job(2, 3))) == [[1], [2, 3]]
    assert model.batches == 3 * [[1, 2, 3]]
    assert model.threads == [THREAD, LOOP, LOOP]


async def test_inline_error_fails_only_the_job_that_causes_it(model: FakeModel) -> None:
    async with running(model, inline=True) as batcher:
        await results(put(batcher, new_job(0)))
        bad, good = put(batcher, new_job(POISON), new_job(1))
        with pytest.raises(ValueError, match="poison"):
            await bad.future
        assert await results([good]) == [[1]]
    assert model.threads == [THREAD, LOOP, LOOP, LOOP]


async def test_images_over_max_batch_run_in_a_thread(model: FakeModel) -> None:
    async with running(model, inline=True, max_batch=2) as batcher:
        await results(put(batcher, new_job(0)))
        assert await results(put(batcher, new_job(1, 2, 3))) == [[1, 2, 3]]
    assert sorted(model.batches) == [[0], [1, 2], [3]]
    assert sorted(model.threads) == [LOOP, THREAD, THREAD]


async def test_jobs_run_in_a_thread_while_others_run_or_are_decoded(model: FakeModel) -> None:
    model.opened.clear()
    async with running(model, inline=True) as batcher:
        jobs = [await hold(batcher, model), *put(batcher, new_job(1))]
        await asyncio.sleep(0.01)
        model.opened.set()
        assert await results(jobs) == [[0], [1]]
        batcher.expect()
        assert await results(put(batcher, new_job(2))) == [[2]]
        batcher.cancel_expected()
    assert model.threads == 3 * [THREAD]


async def test_single_image_runs_inline_and_the_next_in_a_thread(slow_model: FakeModel) -> None:
    async with running(slow_model, inline=True) as batcher:
        assert await results(put(batcher, new_job(0))) == [[0]]
        first, second = new_job(1), new_job(2)
        batcher.put(first)
        await first.future
        batcher.put(second)
        assert await results([second]) == [[2]]
        assert await results(put(batcher, new_job(3))) == [[3]]
    assert slow_model.threads == [THREAD, LOOP, THREAD, LOOP]


async def test_two_images_of_a_slow_model_run_in_a_thread(slow_model: FakeModel) -> None:
    async with running(slow_model, inline=True) as batcher:
        for _ in range(2):
            assert await results(put(batcher, new_job(1, 2))) == [[1, 2]]
            assert await results(put(batcher, new_job(3), new_job(4))) == [[3], [4]]
    assert set(slow_model.threads) == {THREAD}
