"""What is done sooner than a thread would hear of it is run in the event loop."""

import asyncio
import threading

import pytest

from oodguard.service.inference import batcher as loop_runs
from oodguard.service.inference.batcher import Batcher
from oodguard.service.inference.queue import Pixels
from tests.service.inference.engines import POISON, Engine, answers, busy, job, pixels, running

LOOP, THREAD = threading.main_thread().name, "engine"
EVER_S = 1e6


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Judges at once; no batch of it is worth a thread, once it is known how long one takes."""
    monkeypatch.setattr(loop_runs, "WORTH_A_THREAD_S", EVER_S)
    engine = Engine()
    engine.opened.set()
    return engine


@pytest.fixture
def slow_engine(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Judges at once, and more than one image is worth a thread all the same."""
    monkeypatch.setattr(loop_runs, "WORTH_A_THREAD_S", -1)
    monkeypatch.setattr(loop_runs, "MOST_ALONE_S", EVER_S)
    return engine


async def put_together(batcher: Batcher, *images: Pixels) -> list[list[int]]:
    jobs = [job(each) for each in images]
    for each in jobs:
        batcher.put(each)
    return await answers(jobs)


def test_what_is_soon_done_is_run_in_the_loop(engine: Engine) -> None:
    async def scene() -> None:
        async with running(engine, in_loop=True) as batcher:
            for _ in range(3):
                assert await put_together(batcher, pixels(1), pixels(2, 3)) == [[1], [2, 3]]
        assert engine.batches == 3 * [[1, 2, 3]]
        assert engine.threads == [THREAD, LOOP, LOOP]

    asyncio.run(scene())


def test_a_fault_in_the_loop_is_told_to_its_own_request(engine: Engine) -> None:
    async def scene() -> None:
        async with running(engine, in_loop=True) as batcher:
            await put_together(batcher, pixels(0))
            bad, good = job(pixels(POISON)), job(pixels(1))
            batcher.put(bad)
            batcher.put(good)
            with pytest.raises(ValueError, match="poison"):
                await bad.future
            assert await answers([good]) == [[1]]
        assert engine.threads == [THREAD, LOOP, LOOP, LOOP]

    asyncio.run(scene())


def test_of_more_than_a_batch_the_rest_is_for_the_threads(engine: Engine) -> None:
    async def scene() -> None:
        async with running(engine, in_loop=True, max_batch=2) as batcher:
            await put_together(batcher, pixels(0))
            assert await put_together(batcher, pixels(1, 2, 3)) == [[1, 2, 3]]
        assert sorted(engine.batches) == [[0], [1, 2], [3]]
        assert sorted(engine.threads) == [LOOP, THREAD, THREAD]

    asyncio.run(scene())


def test_so_is_what_comes_while_another_is_run_or_decoded(engine: Engine) -> None:
    async def scene() -> None:
        engine.opened.clear()
        async with running(engine, in_loop=True) as batcher:
            jobs = [await busy(batcher, engine), job(pixels(1))]
            batcher.put(jobs[1])
            await asyncio.sleep(0.01)
            engine.opened.set()
            assert await answers(jobs) == [[0], [1]]
            batcher.expect()
            assert await put_together(batcher, pixels(2)) == [[2]]
            batcher.give_up()
        assert engine.threads == 3 * [THREAD]

    asyncio.run(scene())


def test_one_image_is_run_in_the_loop_and_who_had_to_wait_for_it_gets_a_thread(
    slow_engine: Engine,
) -> None:
    async def scene() -> None:
        async with running(slow_engine, in_loop=True) as batcher:
            assert await put_together(batcher, pixels(0)) == [[0]]
            first, second = job(pixels(1)), job(pixels(2))
            batcher.put(first)
            await first.future
            batcher.put(second)
            assert await answers([second]) == [[2]]
            assert await put_together(batcher, pixels(3)) == [[3]]
        assert slow_engine.threads == [THREAD, LOOP, THREAD, LOOP]

    asyncio.run(scene())


def test_two_images_are_worth_a_thread(slow_engine: Engine) -> None:
    async def scene() -> None:
        async with running(slow_engine, in_loop=True) as batcher:
            for _ in range(2):
                assert await put_together(batcher, pixels(1, 2)) == [[1, 2]]
                assert await put_together(batcher, pixels(3), pixels(4)) == [[3], [4]]
        assert set(slow_engine.threads) == {THREAD}

    asyncio.run(scene())
