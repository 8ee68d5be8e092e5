"""The line hands out batches in the order of arrival, and drops what nobody waits for."""

import asyncio
import time
from collections.abc import Iterator

import numpy as np
import pytest

from oodguard.service.inference.queue import BatchQueue, Job

Dropped = list[tuple[int, str]]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def job(loop: asyncio.AbstractEventLoop, images: int, timeout_s: float = 60) -> Job:
    return Job(
        future=loop.create_future(),
        deadline=time.monotonic() + timeout_s,
        pixels=np.zeros((images, 1, 1, 3), np.uint8),
    )


@pytest.fixture
def dropped() -> Dropped:
    return []


@pytest.fixture
def line(dropped: Dropped) -> BatchQueue:
    return BatchQueue(lambda images, why: dropped.append((images, why)))


def spans(line: BatchQueue, room: int) -> list[tuple[Job, int, int]]:
    return [(piece.job, piece.start, piece.end) for piece in line.take(room)]


def test_whole_requests_fill_a_batch_in_their_order(
    line: BatchQueue, loop: asyncio.AbstractEventLoop
) -> None:
    first, second, third = (job(loop, n) for n in (1, 2, 1))
    for each in (first, second, third):
        line.put(each)
    assert line.images == 4
    assert spans(line, 8) == [(first, 0, 1), (second, 0, 2), (third, 0, 1)]
    assert line.images == 0
    assert spans(line, 8) == []


def test_a_large_request_is_split_and_its_rest_lets_the_others_go_first(
    line: BatchQueue, loop: asyncio.AbstractEventLoop
) -> None:
    large, small = job(loop, 7), job(loop, 1)
    line.put(large)
    line.put(small)
    assert spans(line, 3) == [(large, 0, 3)]
    assert spans(line, 3) == [(small, 0, 1), (large, 3, 5)]
    assert spans(line, 3) == [(large, 5, 7)]
    assert line.images == 0


def test_what_nobody_waits_for_takes_no_room(
    line: BatchQueue, loop: asyncio.AbstractEventLoop, dropped: Dropped
) -> None:
    gone, late, failed, waited_for = (job(loop, n) for n in (1, 2, 3, 4))
    gone.gone = True
    late.deadline = time.monotonic() - 1
    failed.error = ValueError()
    for each in (gone, late, failed, waited_for):
        line.put(each)
    assert spans(line, 4) == [(waited_for, 0, 4)]
    assert dropped == [(1, "gone"), (2, "late"), (3, "failed")]
    assert line.images == 0
