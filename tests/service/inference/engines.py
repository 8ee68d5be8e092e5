"""An engine that tests hold, in front of which a batcher works."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np

from oodguard.models.verdicts import Verdict, Verdicts
from oodguard.service.inference.batcher import Batcher
from oodguard.service.inference.queue import Job, Pixels
from tests.models.columns import columns

POISON = 255


def pixels(*values: int) -> Pixels:
    """One image of one pixel for each value."""
    return np.array(values, np.uint8).repeat(3).reshape(-1, 1, 1, 3)


def value(verdict: Verdict) -> int:
    return verdict.class_id


@dataclass(kw_only=True)
class Engine:
    """Judges an image by its pixel, when it is let to; refuses a batch with poison in it."""

    opened: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    batches: list[list[int]] = field(default_factory=list)
    ran: list[int] = field(default_factory=list)
    dropped: list[tuple[int, str]] = field(default_factory=list)
    threads: list[str] = field(default_factory=list)

    def judge(self, images: Pixels) -> Verdicts:
        self.threads.append(threading.current_thread().name)
        self.entered.set()
        assert self.opened.wait(20)
        values = images[:, 0, 0, 0].tolist()
        self.batches.append(values)
        if POISON in values:
            raise ValueError(f"poison in {values}")
        return Verdicts(columns(values), 0, len(values))

    def skipped(self, images: int, why: str) -> None:
        self.dropped.append((images, why))


class Watcher:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ran(self, images: int, run_s: float) -> None:
        assert run_s >= 0
        self._engine.ran.append(images)

    def skipped(self, images: int, why: str) -> None:
        self._engine.skipped(images, why)


@asynccontextmanager
async def running(
    engine: Engine,
    *,
    max_batch: int = 4,
    max_delay_s: float = 0,
    threads: int = 1,
    in_loop: bool = False,
) -> AsyncIterator[Batcher]:
    batcher = Batcher(
        engine.judge,
        threads=threads,
        image=(1, 1, 3),
        max_batch=max_batch,
        max_delay_s=max_delay_s,
        watcher=Watcher(engine),
        in_loop=in_loop,
    )
    try:
        yield batcher
    finally:
        engine.opened.set()
        batcher.close()
        batcher.join()


def job(images: Pixels) -> Job:
    return Job(
        future=asyncio.get_running_loop().create_future(),
        deadline=time.monotonic() + 60,
        pixels=images,
    )


async def answers(jobs: Sequence[Job]) -> list[list[int]]:
    verdicts = await asyncio.wait_for(asyncio.gather(*(each.future for each in jobs)), 20)
    return [[value(verdict) for verdict in each] for each in verdicts]


async def busy(batcher: Batcher, engine: Engine) -> Job:
    """Keep the engine in a run of its own, so that what follows has to wait."""
    first = job(pixels(0))
    batcher.put(first)
    assert await asyncio.to_thread(engine.entered.wait, 20)
    return first
