"""The batcher: requests share runs, each gets its own verdicts, and errors stay with theirs."""

import asyncio
import math
import threading
from collections.abc import AsyncIterator

import pytest

from oodguard.models.verdicts import Verdicts
from oodguard.service.inference.batcher import Batcher, batch_share, longest_batch
from oodguard.service.inference.queue import Pixels
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


def open_model() -> FakeModel:
    model = FakeModel()
    model.opened.set()
    return model


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
async def held(model: FakeModel) -> AsyncIterator[Batcher]:
    """A batcher of one thread, which runs image 0 until `model` is opened."""
    async with running(model) as batcher:
        await hold(batcher, model)
        yield batcher


async def test_batcher_runs_queued_jobs_together(held: Batcher, model: FakeModel) -> None:
    jobs = put(held, new_job(1), new_job(2, 3), new_job(4))
    await asyncio.sleep(0)
    assert held.depth == 4
    model.opened.set()
    assert await results(jobs) == [[1], [2, 3], [4]]
    assert model.batches == [[0], [1, 2, 3, 4]]
    assert model.ran_images == [1, 4]


async def test_batcher_splits_a_job_over_max_batch_and_joins_its_verdicts_in_order(
    held: Batcher, model: FakeModel
) -> None:
    jobs = put(held, new_job(*range(1, 10)), new_job(77))
    model.opened.set()
    assert await results(jobs) == [[*range(1, 10)], [77]]
    assert model.batches == [[0], [1, 2, 3, 4], [77, 5, 6, 7], [8, 9]]


async def test_batcher_error_fails_only_the_job_that_causes_it(
    held: Batcher, model: FakeModel
) -> None:
    bad, good = put(held, new_job(POISON), new_job(1, 2))
    model.opened.set()
    with pytest.raises(ValueError, match=r"poison in \[255\]"):
        await asyncio.wait_for(bad.future, 20)
    assert await results([good]) == [[1, 2]]


async def test_batcher_skips_the_rest_of_a_failed_job() -> None:
    model = open_model()
    async with running(model, max_batch=2) as batcher:
        (bad,) = put(batcher, new_job(POISON, 1, 2, 3))
        with pytest.raises(ValueError, match="poison"):
            await asyncio.wait_for(bad.future, 20)
    assert model.batches == [[POISON, 1]]
    assert model.skipped_images == [(2, "failed")]


async def test_batcher_skips_abandoned_jobs(held: Batcher, model: FakeModel) -> None:
    abandoned, other = put(held, new_job(1, 2), new_job(3))
    abandoned.abandoned = True
    model.opened.set()
    assert await results([other]) == [[3]]
    assert model.batches == [[0], [3]]
    assert model.skipped_images == [(2, "gone")]


async def test_batcher_waits_for_expected_jobs() -> None:
    model = open_model()
    async with running(model, max_delay_s=20) as batcher:
        batcher.expect()
        first, second = new_job(1), new_job(2)
        batcher.put(first)
        await asyncio.sleep(0)
        batcher.put_expected(second)
        assert await results([first, second]) == [[1], [2]]
    assert model.batches == [[1, 2]]


@pytest.mark.parametrize("threads", [1, 3])
async def test_batcher_does_not_wait_beyond_max_delay_or_for_cancelled_jobs(threads: int) -> None:
    model = open_model()
    async with running(model, max_delay_s=0.001, threads=threads) as batcher:
        batcher.expect()
        assert await results(put(batcher, new_job(1))) == [[1]]
    async with running(model, max_delay_s=60, threads=threads) as batcher:
        batcher.expect()
        jobs = put(batcher, new_job(2))
        # Let one thread wait for the expected job while the others wait for images.
        await asyncio.sleep(0.05)
        batcher.cancel_expected()
        assert await results(jobs) == [[2]]


async def test_batcher_runs_queued_jobs_before_it_closes(held: Batcher, model: FakeModel) -> None:
    jobs = put(held, new_job(1))
    held.close()
    model.opened.set()
    assert await results(jobs) == [[1]]


@pytest.mark.parametrize(
    ("queued", "idle", "image_s", "size"),
    [
        (8, 2, math.inf, 4),
        (7, 2, 1e-3, 4),
        (1, 2, 1e-3, 1),
        # Half a millisecond: 5 images of 0.1 ms or 20 of 25 us, however many threads are idle.
        (8, 2, 1e-4, 5),
        (12, 2, 1e-4, 6),
        (8, 4, 2.5e-5, 20),
    ],
)
def test_batch_share_is_equal_and_worth_a_run(
    queued: int, idle: int, image_s: float, size: int
) -> None:
    assert batch_share(queued, idle, image_s) == size


@pytest.mark.parametrize(
    ("max_run_s", "image_s", "size"),
    [
        (math.inf, 1.0, 64),
        (0.05, math.inf, 64),
        (0.05, 1e-4, 64),
        (0.05, 2e-3, 25),
        (0.05, 0.2, 1),
    ],
)
def test_longest_batch_has_the_images_of_the_longest_run(
    max_run_s: float, image_s: float, size: int
) -> None:
    assert longest_batch(64, max_run_s, image_s) == size


async def test_batcher_splits_a_job_over_the_longest_run() -> None:
    model = open_model()
    async with running(model, max_run_s=0) as batcher:
        # The time of an image is unknown before the first run.
        for values in ([1, 2, 3], [4, 5]):
            assert await results(put(batcher, new_job(*values))) == [values]
    assert model.batches == [[1, 2, 3], [4], [5]]


class TwoRuns(FakeModel):
    """Waits until two runs have begun; the run with image 0 ends last."""

    def __init__(self) -> None:
        super().__init__()
        self.opened.set()
        self._both = threading.Barrier(2, timeout=20)
        self._other_ended = threading.Event()

    def predict(self, images: Pixels) -> Verdicts:
        self._both.wait()
        if images[0, 0, 0, 0] == 0:
            assert self._other_ended.wait(20)
        verdicts = super().predict(images)
        self._other_ended.set()
        return verdicts


async def test_batcher_divides_a_job_among_idle_threads_and_keeps_its_order() -> None:
    model = TwoRuns()
    async with running(model, max_batch=8, threads=2) as batcher:
        assert await results(put(batcher, new_job(*range(8)))) == [[*range(8)]]
    assert model.batches == [[4, 5, 6, 7], [0, 1, 2, 3]]


async def test_batcher_runs_single_images_concurrently() -> None:
    model = TwoRuns()
    async with running(model, threads=2) as batcher:
        assert await results(put(batcher, new_job(0), new_job(1))) == [[0], [1]]
    assert sorted(model.batches) == [[0], [1]]
