"""A fake model behind a real batcher, whose runs a test can hold."""

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np

from oodguard.models.verdicts import Verdicts
from oodguard.service.inference.batcher import Batcher
from oodguard.service.inference.queue import Job, Pixels
from tests.models.arrays import verdict_arrays

POISON = 255


def pixels(*values: int) -> Pixels:
    """Return one image of one pixel for each value."""
    return np.array(values, np.uint8).repeat(3).reshape(-1, 1, 1, 3)


@dataclass(kw_only=True)
class FakeModel:
    """Predicts the value of an image's pixel; fails on a batch that contains `POISON`.

    Runs wait until `opened` is set. It is also the observer of its batcher, and records the values
    and the thread of each run, the size of each successful one, and images and reason of each skip.
    """

    opened: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    batches: list[list[int]] = field(default_factory=list)
    ran_images: list[int] = field(default_factory=list)
    skipped_images: list[tuple[int, str]] = field(default_factory=list)
    threads: list[str] = field(default_factory=list)

    def predict(self, images: Pixels) -> Verdicts:
        self.threads.append(threading.current_thread().name)
        self.entered.set()
        assert self.opened.wait(20)
        values = images[:, 0, 0, 0].tolist()
        self.batches.append(values)
        if POISON in values:
            raise ValueError(f"poison in {values}")
        return Verdicts(verdict_arrays(values), 0, len(values))

    def ran(self, images: int, run_s: float) -> None:
        assert run_s >= 0
        self.ran_images.append(images)

    def skipped(self, images: int, why: str) -> None:
        self.skipped_images.append((images, why))


@asynccontextmanager
async def running(  # noqa: PLR0913 - keyword-only, as those of the batcher
    model: FakeModel,
    *,
    max_batch: int = 4,
    max_delay_s: float = 0,
    threads: int = 1,
    inline: bool = False,
    max_run_s: float = math.inf,
) -> AsyncIterator[Batcher]:
    batcher = Batcher(
        model.predict,
        threads=threads,
        image=(1, 1, 3),
        max_batch=max_batch,
        max_delay_s=max_delay_s,
        observer=model,
        inline=inline,
        max_run_s=max_run_s,
    )
    try:
        yield batcher
    finally:
        model.opened.set()
        batcher.close()
        batcher.join()


def new_job(*values: int) -> Job:
    """Return a job of one image for each value. Call it in the event loop."""
    return Job(
        future=asyncio.get_running_loop().create_future(),
        deadline=time.monotonic() + 60,
        pixels=pixels(*values),
    )


def put(batcher: Batcher, *jobs: Job) -> list[Job]:
    for job in jobs:
        batcher.put(job)
    return list(jobs)


async def results(jobs: Sequence[Job]) -> list[list[int]]:
    """Await the jobs, and return the predicted values of each."""
    verdicts = await asyncio.wait_for(asyncio.gather(*(each.future for each in jobs)), 20)
    return [[verdict.class_id for verdict in each] for each in verdicts]


async def hold(batcher: Batcher, model: FakeModel) -> Job:
    """Start a run that waits for `opened`, so that later jobs are queued."""
    (job,) = put(batcher, new_job(0))
    assert await asyncio.to_thread(model.entered.wait, 20)
    return job
