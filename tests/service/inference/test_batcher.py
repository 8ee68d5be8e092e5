"""Requests share runs, each gets its own verdicts, and a fault stays with its own request."""

import asyncio
import math
import threading

import pytest

from oodguard.models.verdicts import Verdicts
from oodguard.service.inference.batcher import share
from oodguard.service.inference.queue import Pixels
from tests.service.inference.engines import POISON, Engine, answers, busy, job, pixels, running


def test_what_waits_while_the_engine_is_busy_shares_the_next_run() -> None:
    async def scene() -> None:
        engine = Engine()
        async with running(engine) as batcher:
            jobs = [await busy(batcher, engine), job(pixels(1)), job(pixels(2, 3)), job(pixels(4))]
            for each in jobs[1:]:
                batcher.put(each)
            await asyncio.sleep(0)
            assert batcher.depth == 4
            engine.opened.set()
            assert await answers(jobs) == [[0], [1], [2, 3], [4]]
        assert engine.batches == [[0], [1, 2, 3, 4]]
        assert engine.ran == [1, 4]

    asyncio.run(scene())


def test_a_request_larger_than_a_batch_is_split_and_joined_in_order() -> None:
    async def scene() -> None:
        engine = Engine()
        async with running(engine) as batcher:
            jobs = [await busy(batcher, engine), job(pixels(*range(1, 10))), job(pixels(77))]
            for each in jobs[1:]:
                batcher.put(each)
            engine.opened.set()
            assert await answers(jobs) == [[0], [*range(1, 10)], [77]]
        assert engine.batches == [[0], [1, 2, 3, 4], [77, 5, 6, 7], [8, 9]]

    asyncio.run(scene())


def test_a_fault_is_told_to_its_own_request_and_its_mates_are_answered() -> None:
    async def scene() -> None:
        engine = Engine()
        async with running(engine) as batcher:
            first = await busy(batcher, engine)
            bad, good = job(pixels(POISON)), job(pixels(1, 2))
            batcher.put(bad)
            batcher.put(good)
            engine.opened.set()
            with pytest.raises(ValueError, match=r"poison in \[255\]"):
                await asyncio.wait_for(bad.future, 20)
            assert await answers([first, good]) == [[0], [1, 2]]

    asyncio.run(scene())


def test_the_rest_of_a_failed_request_is_not_run() -> None:
    async def scene() -> None:
        engine = Engine()
        engine.opened.set()
        async with running(engine, max_batch=2) as batcher:
            bad = job(pixels(POISON, 1, 2, 3))
            batcher.put(bad)
            with pytest.raises(ValueError, match="poison"):
                await asyncio.wait_for(bad.future, 20)
        assert engine.batches == [[POISON, 1]]
        assert engine.dropped == [(2, "failed")]

    asyncio.run(scene())


def test_what_was_given_up_while_it_waited_is_skipped() -> None:
    async def scene() -> None:
        engine = Engine()
        async with running(engine) as batcher:
            jobs = [await busy(batcher, engine), job(pixels(1, 2)), job(pixels(3))]
            batcher.put(jobs[1])
            batcher.put(jobs[2])
            jobs[1].gone = True
            engine.opened.set()
            assert await answers([jobs[0], jobs[2]]) == [[0], [3]]
        assert engine.batches == [[0], [3]]
        assert engine.dropped == [(2, "gone")]

    asyncio.run(scene())


def test_an_idle_engine_waits_for_what_is_being_decoded() -> None:
    async def scene() -> None:
        engine = Engine()
        engine.opened.set()
        async with running(engine, max_delay_s=20) as batcher:
            batcher.expect()
            jobs = [job(pixels(1)), job(pixels(2))]
            batcher.put(jobs[0])
            await asyncio.sleep(0)
            batcher.arrive(jobs[1])
            assert await answers(jobs) == [[1], [2]]
        assert engine.batches == [[1, 2]]

    asyncio.run(scene())


@pytest.mark.parametrize("threads", [1, 3])
def test_but_no_longer_than_the_delay_bound_nor_for_what_will_not_come(threads: int) -> None:
    async def scene() -> None:
        engine = Engine()
        engine.opened.set()
        async with running(engine, max_delay_s=0.001, threads=threads) as batcher:
            batcher.expect()
            first = job(pixels(1))
            batcher.put(first)
            assert await answers([first]) == [[1]]
        async with running(engine, max_delay_s=60, threads=threads) as batcher:
            batcher.expect()
            second = job(pixels(2))
            batcher.put(second)
            # Let one thread hold the image back while the others wait for images.
            await asyncio.sleep(0.05)
            batcher.give_up()
            assert await answers([second]) == [[2]]

    asyncio.run(scene())


def test_closing_answers_what_waits() -> None:
    async def scene() -> None:
        engine = Engine()
        async with running(engine) as batcher:
            jobs = [await busy(batcher, engine), job(pixels(1))]
            batcher.put(jobs[1])
            batcher.close()
            engine.opened.set()
            assert await answers(jobs) == [[0], [1]]

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("waiting", "idle", "image_s", "taken"),
    [
        (8, 2, math.inf, 4),
        (7, 2, 1e-3, 4),
        (1, 2, 1e-3, 1),
        # Half a millisecond's worth: 5 images of 0.1 ms, 20 of 25 us, whoever else is idle.
        (8, 2, 1e-4, 5),
        (12, 2, 1e-4, 6),
        (8, 4, 2.5e-5, 20),
    ],
)
def test_a_share_is_worth_a_run(waiting: int, idle: int, image_s: float, taken: int) -> None:
    assert share(waiting, idle, image_s) == taken


class Together(Engine):
    """Goes on only once two runs have begun; then the one with the first image waits longest."""

    def __init__(self) -> None:
        super().__init__()
        self.opened.set()
        self._both = threading.Barrier(2, timeout=20)
        self._second_done = threading.Event()

    def judge(self, images: Pixels) -> Verdicts:
        self._both.wait()
        if images[0, 0, 0, 0] == 0:
            assert self._second_done.wait(20)
        verdicts = super().judge(images)
        self._second_done.set()
        return verdicts


def test_idle_threads_share_a_request_and_its_order_is_kept() -> None:
    async def scene() -> None:
        engine = Together()
        async with running(engine, max_batch=8, threads=2) as batcher:
            wide = job(pixels(*range(8)))
            batcher.put(wide)
            assert await answers([wide]) == [[*range(8)]]
        assert engine.batches == [[4, 5, 6, 7], [0, 1, 2, 3]]

    asyncio.run(scene())


def test_single_requests_run_at_the_same_time() -> None:
    async def scene() -> None:
        engine = Together()
        async with running(engine, threads=2) as batcher:
            jobs = [job(pixels(0)), job(pixels(1))]
            for each in jobs:
                batcher.put(each)
            assert await answers(jobs) == [[0], [1]]
        assert sorted(engine.batches) == [[0], [1]]

    asyncio.run(scene())
