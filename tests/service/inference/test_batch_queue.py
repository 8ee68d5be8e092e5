"""The batch queue: batches that are fair to clients, without jobs that are not worth running."""

import time
from collections import Counter

import pytest

from oodguard.service.inference.queue import BatchQueue, Job
from tests.service.inference.fake_model import new_job

pytestmark = pytest.mark.anyio

Skipped = list[tuple[int, str]]


@pytest.fixture
def skipped() -> Skipped:
    return []


@pytest.fixture
def queue(skipped: Skipped) -> BatchQueue:
    return BatchQueue(lambda images, why: skipped.append((images, why)))


def put(queue: BatchQueue, *sizes: int, client: str = "") -> list[Job]:
    """Queue one job of each number of images."""
    jobs = [new_job(*[0] * size) for size in sizes]
    for job in jobs:
        job.client = client
        queue.put(job)
    return jobs


def spans(queue: BatchQueue, max_images: int) -> list[tuple[Job, int, int]]:
    return [(each.job, each.start, each.end) for each in queue.take(max_images)]


async def test_queue_fills_a_batch_with_jobs_in_order(queue: BatchQueue) -> None:
    first, second, third = put(queue, 1, 2, 1)
    assert queue.images == 4
    assert spans(queue, 8) == [(first, 0, 1), (second, 0, 2), (third, 0, 1)]
    assert queue.images == 0
    assert spans(queue, 8) == []


async def test_queue_puts_the_rest_of_a_split_job_behind_the_others(queue: BatchQueue) -> None:
    large, small = put(queue, 7, 1)
    assert spans(queue, 3) == [(large, 0, 3)]
    assert spans(queue, 3) == [(small, 0, 1), (large, 3, 5)]
    assert spans(queue, 3) == [(large, 5, 7)]
    assert queue.images == 0


async def test_queue_skips_abandoned_late_and_failed_jobs(
    queue: BatchQueue, skipped: Skipped
) -> None:
    abandoned, late, failed, awaited = put(queue, 1, 2, 3, 4)
    abandoned.abandoned = True
    late.deadline = time.monotonic() - 1
    failed.error = ValueError()
    assert spans(queue, 4) == [(awaited, 0, 4)]
    assert skipped == [(1, "gone"), (2, "late"), (3, "failed")]
    assert queue.images == 0


async def test_queue_serves_a_client_after_at_most_one_batch_of_another(queue: BatchQueue) -> None:
    put(queue, *[256] * 4, client="a")
    assert len(queue.take(64)) == 1
    few = put(queue, *[1] * 20, client="b")
    # Client a has had 64 images in this contest, so all 20 images of b are next.
    batch = queue.take(64)
    assert [each.job for each in batch[:20]] == few
    assert [(len(each), each.job.client) for each in batch[20:]] == [(44, "a")]


async def test_queue_takes_equally_many_images_of_each_client(queue: BatchQueue) -> None:
    put(queue, *[8] * 50, client="a")
    put(queue, *[1] * 50, client="b")
    put(queue, *[1] * 50, client="c")
    taken = Counter[str]()
    for _ in range(3):
        for each in queue.take(40):
            taken[each.job.client] += len(each)
    # Of 120 images; a slice of 8 is not divided.
    assert taken["b"] == taken["c"]
    assert abs(taken["a"] - taken["b"]) <= 8
    # A client without images in the queue saves up no turns.
    while queue.images > 8:
        queue.take(8)
    put(queue, 8, client="d")
    put(queue, 8, client="b")
    assert [each.job.client for each in queue.take(24)].count("b") == 1
    assert queue.images == 0
