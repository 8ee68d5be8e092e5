"""Many requests to one run: whatever waits goes through the engine together.

Work-conserving: an idle engine takes what waits at once. It holds back only while images that are
being decoded could still come along, and never longer than the delay bound.
"""

import asyncio
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import numpy as np

from oodguard.models.verdicts import Verdicts
from oodguard.service.inference.queue import BatchQueue, BatchRun, Dropped, Job, JobSlice, Pixels

# A run takes about as much of the interpreter, whatever is in it, and threads wait for each other
# meanwhile: what is done sooner is not worth a thread.
WORTH_A_THREAD_S = 0.0005

# To hand an image over and to hear of it wakes a sleeping processor twice. What comes meanwhile can
# wait for as long as it would for a small picture that is being decoded.
MOST_ALONE_S = 0.002

# Who asked while the loop was running an image is read in the turn after it and put in the next;
# one turn more, and the client that has just been answered may be back.
TURNS_TO_COME_FORWARD = 3


class InlineExecution:
    """Tells what is to be run in the event loop, in which all of this is to be called.

    That is a batch of a graph that does next to nothing; and of any other graph that is not slow,
    the image of a client that asks alone. Two clients are served faster by two threads.
    """

    def __init__(self) -> None:
        self._just_ran = False

    def worth_it(self, images: int, image_s: float) -> bool:
        """Whether to run images here, of which nobody else waits for the engine.

        Args:
            images: How many.
            image_s: Seconds that one is expected to take.
        """
        alone = images == 1 and not self._just_ran
        return images * image_s <= (MOST_ALONE_S if alone else WORTH_A_THREAD_S)

    def ran(self) -> None:
        """Images were run: whoever comes in the next turns had to wait for it, and would again."""
        self._just_ran = True
        self._pass(TURNS_TO_COME_FORWARD)

    def _pass(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._pass, turns - 1)
        else:
            self._just_ran = False


NICER_BY = 10

LEAST_URGENT = 19


def lower_thread_priority() -> None:
    """Let the other threads of this machine go before the calling one.

    Runs of the model would else keep the event loop waiting for a processor, by milliseconds a
    turn: too long for it to refuse what is too much. They take what is left, which is nearly all.
    """
    # Elsewhere a process has a priority and its threads have none of their own.
    if sys.platform == "linux":
        thread = threading.get_native_id()
        own = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(own + NICER_BY, LEAST_URGENT))


Judge: TypeAlias = Callable[[Pixels], Verdicts]


class BatchObserver(Protocol):
    """Hears what becomes of images, in whichever thread that is."""

    def ran(self, images: int, run_s: float) -> None:
        """A batch was run."""

    def skipped(self, images: int, why: Dropped) -> None:
        """Images were dropped and not run."""


class Batcher:
    """A line in front of one engine, and all that runs it: threads and, at times, the event loop.

    What waits is shared out among the threads that are idle, so that all processors work on it.

    Args:
        judge: Images `(n, H, W, 3)` to verdicts, in order.
        threads: How many runs there may be at a time.
        image: `(H, W, 3)`.
        max_batch: Most images in one run.
        max_delay_s: Longest that a ready image waits for others that are being decoded.
        watcher: Hears of runs and of dropped images.
        in_loop: Whether the event loop may run what is not worth a thread, see `loop_runs`.
    """

    def __init__(  # noqa: PLR0913 - by keyword, each from elsewhere
        self,
        judge: Judge,
        *,
        threads: int = 1,
        image: tuple[int, int, int],
        max_batch: int,
        max_delay_s: float,
        watcher: BatchObserver,
        in_loop: bool = False,
    ) -> None:
        self._judge = judge
        self._max_batch = max_batch
        self._max_delay_s = max_delay_s
        self._watcher = watcher
        self._line = BatchQueue(watcher.skipped)
        self._image = image
        self._fresh: list[Job] = []
        self._decoding = 0
        self._closed = False
        self._changed = threading.Condition()
        self._loop_runs = InlineExecution() if in_loop else None
        self._loop_gathered = np.empty((max_batch, *image), np.uint8)
        # Runs that may begin: as many as there are threads, less those that are under way.
        self._idle = threads
        # As the last run took for each; not known before there was one.
        self._image_s = math.inf
        self._threads = [
            threading.Thread(target=self._work, name="engine", daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def depth(self) -> int:
        """Images that wait for a run."""
        return self._line.images

    def expect(self) -> None:
        """Say that a job is being decoded; `arrive` or `give_up` must follow."""
        with self._changed:
            self._decoding += 1

    def give_up(self) -> None:
        """An expected job will not come."""
        with self._changed:
            self._decoding -= 1
            self._changed.notify()

    def arrive(self, job: Job) -> None:
        """An expected job is decoded."""
        with self._changed:
            self._decoding -= 1
            self._put(job)
            self._changed.notify()

    def put(self, job: Job) -> None:
        """Queue a job that came decoded. To be called in the event loop.

        What is put in one turn of the loop is queued at its end, all at once: an idle engine would
        take the first alone, and fight with the loop for the interpreter while the others come.
        """
        self._fresh.append(job)
        if len(self._fresh) == 1:
            job.future.get_loop().call_soon(self._take_fresh)

    def close(self) -> None:
        """Let the threads end once they have run what waits. To be called in the event loop."""
        with self._changed:
            self._queue_fresh()
            self._closed = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait for the threads' end."""
        for thread in self._threads:
            thread.join()

    def _take_fresh(self) -> None:
        """Queue what came in the turn before, or run it here if that is worth no thread."""
        with self._changed:
            runs = self._loop_runs if self._all_there_is() else None
            jobs = self._queue_fresh()
            pieces = []
            if runs and runs.worth_it(self._line.images, self._image_s):
                pieces = self._take(self._max_batch)
            else:
                self._changed.notify(jobs)
        if runs and pieces:
            for job in self._run(pieces, self._loop_gathered):
                job.tell()
            self._release()
            runs.ran()

    def _all_there_is(self) -> bool:
        """Whether nothing runs, waits or is being decoded but what was put in this turn."""
        return self._idle == len(self._threads) and not self._decoding and not self._line.images

    def _queue_fresh(self) -> int:
        """Queue what was put; how many jobs that is. To be called with the lock."""
        fresh, self._fresh = self._fresh, []
        for job in fresh:
            self._put(job)
        return len(fresh)

    def _put(self, job: Job) -> None:
        job.timings.queued = time.monotonic()
        self._line.put(job)

    def _work(self) -> None:
        lower_thread_priority()
        # Requests are gathered here; a batch of one request is run from where it lies.
        gathered = np.empty((self._max_batch, *self._image), np.uint8)
        while pieces := self._next_batch():
            finished = self._run(pieces, gathered)
            self._release()
            _tell(finished)
            # Else the last images would stay in memory until others come.
            del pieces, finished

    def _next_batch(self) -> list[JobSlice]:
        """Wait for images; none mean that the batcher was closed and all is done."""
        with self._changed:
            while True:
                self._changed.wait_for(self._may_begin)
                if not self._line.images:
                    return []
                until = self._line.oldest() + self._max_delay_s
                self._changed.wait_for(self._need_not_wait, until - time.monotonic())
                if self._idle and (pieces := self._take(self._part())):
                    return pieces

    def _may_begin(self) -> bool:
        return self._idle > 0 and bool(self._line.images or self._closed)

    def _take(self, most: int) -> list[JobSlice]:
        """Take what is to be run next, and the place of an idle thread to run it."""
        pieces = self._line.take(most)
        if pieces:
            self._idle -= 1
        if self._line.images:
            self._changed.notify()
        return pieces

    def _release(self) -> None:
        with self._changed:
            self._idle += 1
            if self._line.images or self._closed:
                self._changed.notify()

    def _part(self) -> int:
        return min(share(self._line.images, self._idle, self._image_s), self._max_batch)

    def _need_not_wait(self) -> bool:
        return not self._decoding or self._line.images >= self._max_batch or self._closed

    def _run(self, pieces: Sequence[JobSlice], gathered: Pixels) -> set[Job]:
        """Run pieces together; the jobs that have something to hear of it."""
        started = time.monotonic()
        for piece in pieces:
            if piece.start == 0:
                piece.job.timings.taken = started
        try:
            verdicts = self._judge(_gather(pieces, gathered))
            run = BatchRun(started, time.monotonic(), sum(len(piece) for piece in pieces))
            self._image_s = (run.ended - run.started) / run.images
            self._watcher.ran(run.images, run.ended - run.started)
        except BaseException as error:  # noqa: BLE001 - handed on to who waits, as executors do
            if len(pieces) == 1:
                pieces[0].job.error = error
                return {pieces[0].job}
            # Whose fault it was shows when each is run alone; its mates are to have an answer.
            return set().union(*(self._run([piece], gathered) for piece in pieces))
        return self._share_out(pieces, verdicts, run)

    def _share_out(self, pieces: Sequence[JobSlice], verdicts: Verdicts, run: BatchRun) -> set[Job]:
        finished = set()
        start = 0
        # Another thread may be adding to the same job.
        with self._changed:
            for piece in pieces:
                end = start + len(piece)
                piece.job.timings.runs.append(run)
                if piece.job.add(piece.start, verdicts.part(start, end)):
                    finished.add(piece.job)
                start = end
        return finished


def share(waiting: int, idle: int, image_s: float) -> int:
    """How many images one of the idle threads takes: an equal part, or as many as are worth a run.

    Args:
        waiting: Images that wait.
        idle: Threads that could run them, at least 1.
        image_s: Seconds that an image took in the last run; infinite: not known yet.
    """
    return max(math.ceil(waiting / idle), math.ceil(WORTH_A_THREAD_S / image_s))


def _gather(pieces: Sequence[JobSlice], gathered: Pixels) -> Pixels:
    if len(pieces) == 1:
        return pieces[0].pixels
    end = sum(len(piece) for piece in pieces)
    return np.concatenate([piece.pixels for piece in pieces], out=gathered[:end])


def _tell(jobs: set[Job]) -> None:
    """Tell all the requests of a batch in one call of their event loop: waking it is what costs."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.future.get_loop(), []).append(job)
    for loop, mine in by_loop.items():
        loop.call_soon_threadsafe(_tell_each, mine)


def _tell_each(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.tell()
