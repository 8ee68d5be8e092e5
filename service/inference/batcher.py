"""Dynamic batching: run the queued images of many requests together.

The batcher is work-conserving: an idle thread takes the queued images at once. It waits only while
images that are being decoded could still join the batch, and never longer than `max_delay_s`.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import numpy as np

from oodguard.models.verdicts import Verdicts
from oodguard.service.inference.inline_execution import MIN_THREAD_RUN_S, InlineExecution
from oodguard.service.inference.queue import BatchQueue, BatchRun, Job, JobSlice, Pixels, SkipReason
from oodguard.service.inference.thread_priority import lower_thread_priority

MAX_CPU_RUN_S = 0.05
"""The longest run of several images on the CPU, where larger batches are hardly faster.

An image that is queued meanwhile waits for the rest of it, and then for its own run. The CPU time
of an image in a batch of 64 is 94 % to 100 % of that in a batch of 8 (all shipped bundles).
"""

Predict: TypeAlias = Callable[[Pixels], Verdicts]


class BatchObserver(Protocol):
    """Called in any thread when images were run or skipped."""

    def ran(self, images: int, run_s: float) -> None:
        """Record a batch of `images` images that took `run_s` seconds."""

    def skipped(self, images: int, why: SkipReason) -> None:
        """Record images that were removed from the queue and not run."""


class Batcher:
    """A batch queue with the threads that run its batches.

    Queued images are divided among the idle threads, so that all CPUs work on them.

    Args:
        predict: Images `(n, H, W, 3)` to verdicts, in order.
        threads: Number of concurrent runs.
        image: `(H, W, 3)`.
        max_batch: Maximum number of images in one run.
        max_run_s: Longest run of several images, by the time of an image in the last run.
        max_delay_s: Longest wait of a queued image for others that are being decoded.
        observer: Notified of runs and of skipped images.
        inline: Whether short runs may take place in the event loop, see `InlineExecution`.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, from several sources
        self,
        predict: Predict,
        *,
        threads: int = 1,
        image: tuple[int, int, int],
        max_batch: int,
        max_delay_s: float,
        observer: BatchObserver,
        inline: bool = False,
        max_run_s: float = math.inf,
    ) -> None:
        self._predict = predict
        self._max_batch = max_batch
        self._max_run_s = max_run_s
        self._max_delay_s = max_delay_s
        self._observer = observer
        self._queue = BatchQueue(observer.skipped)
        self._image = image
        # Jobs that were put in this turn of the event loop.
        self._new_jobs: list[Job] = []
        self._decoding = 0
        self._closed = False
        self._changed = threading.Condition()
        self._inline = InlineExecution() if inline else None
        self._inline_buffer = np.empty((max_batch, *image), np.uint8)
        # Runs that may begin: the number of threads minus the runs in progress.
        self._idle = threads
        # Seconds for each image in the last run; unknown before the first.
        self._image_s = math.inf
        self._threads = [
            threading.Thread(target=self._work, name="engine", daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def depth(self) -> int:
        """Number of queued images."""
        return self._queue.images

    def expect(self) -> None:
        """Announce a job that is being decoded; `put_expected` or `cancel_expected` follows."""
        with self._changed:
            self._decoding += 1

    def cancel_expected(self) -> None:
        """Withdraw an announced job."""
        with self._changed:
            self._decoding -= 1
            self._changed.notify()

    def put_expected(self, job: Job) -> None:
        """Queue an announced job. Thread-safe."""
        with self._changed:
            self._decoding -= 1
            self._queue.put(job)
            self._changed.notify()

    def put(self, job: Job) -> None:
        """Queue a decoded job that was not announced. Call it in the event loop.

        The jobs of one turn of the event loop are queued together at its end. Otherwise an idle
        thread would take the first alone, and compete with the loop for the interpreter lock.
        """
        self._new_jobs.append(job)
        if len(self._new_jobs) == 1:
            job.future.get_loop().call_soon(self._queue_or_run_new_jobs)

    def close(self) -> None:
        """End the threads once the queue is empty. Call it in the event loop."""
        with self._changed:
            self._queue_new_jobs()
            self._closed = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until the threads have ended."""
        for thread in self._threads:
            thread.join()

    def _queue_or_run_new_jobs(self) -> None:
        """Queue the jobs of the last turn, or run them here if that is faster."""
        with self._changed:
            idle = self._idle == len(self._threads) and not self._decoding
            inline = self._inline if idle and not self._queue.images else None
            jobs = self._queue_new_jobs()
            batch = []
            if inline and inline.is_faster(self._queue.images, self._image_s):
                batch = self._take(self._max_batch)
            else:
                self._changed.notify(jobs)
        if inline and batch:
            for job in self._run(batch, self._inline_buffer):
                job.resolve()
            self._release()
            inline.ran()

    def _queue_new_jobs(self) -> int:
        """Queue the jobs that were put, and return their number. The caller holds the lock."""
        jobs, self._new_jobs = self._new_jobs, []
        for job in jobs:
            self._queue.put(job)
        return len(jobs)

    def _work(self) -> None:
        lower_thread_priority()
        # Slices of several jobs are copied here; a batch of one slice is run in place.
        buffer = np.empty((self._max_batch, *self._image), np.uint8)
        while batch := self._next_batch():
            finished = self._run(batch, buffer)
            self._release()
            _resolve(finished)
            # Otherwise the last images would stay in memory until the next batch.
            del batch, finished

    def _next_batch(self) -> list[JobSlice]:
        """Wait for the next batch; it is empty when the batcher is closed and the queue empty."""
        with self._changed:
            while True:
                self._changed.wait_for(self._may_begin)
                if not self._queue.images:
                    return []
                until = self._queue.oldest() + self._max_delay_s
                self._changed.wait_for(self._need_not_wait, until - time.monotonic())
                if self._idle:
                    share = batch_share(self._queue.images, self._idle, self._image_s)
                    longest = longest_batch(self._max_batch, self._max_run_s, self._image_s)
                    if batch := self._take(min(share, longest)):
                        return batch

    def _may_begin(self) -> bool:
        return self._idle > 0 and bool(self._queue.images or self._closed)

    def _need_not_wait(self) -> bool:
        return not self._decoding or self._queue.images >= self._max_batch or self._closed

    def _take(self, max_images: int) -> list[JobSlice]:
        """Take a batch from the queue, and one of the runs that may begin."""
        batch = self._queue.take(max_images)
        if batch:
            self._idle -= 1
        if self._queue.images:
            self._changed.notify()
        return batch

    def _release(self) -> None:
        with self._changed:
            self._idle += 1
            if self._queue.images or self._closed:
                self._changed.notify()

    def _run(self, batch: Sequence[JobSlice], buffer: Pixels) -> set[Job]:
        """Run a batch, and return the jobs that are complete or failed."""
        started = time.monotonic()
        for each in batch:
            if each.start == 0:
                each.job.timings.taken = started
        try:
            verdicts = self._predict(_gather(batch, buffer))
            run = BatchRun(started, time.monotonic(), sum(len(each) for each in batch))
            self._image_s = (run.ended - run.started) / run.images
            self._observer.ran(run.images, run.ended - run.started)
        except BaseException as error:  # noqa: BLE001 - becomes the future's, as in executors
            if len(batch) == 1:
                batch[0].job.error = error
                return {batch[0].job}
            # Run each slice alone: only the request that causes the error fails.
            return set().union(*(self._run([each], buffer) for each in batch))
        return self._distribute(batch, verdicts, run)

    def _distribute(self, batch: Sequence[JobSlice], verdicts: Verdicts, run: BatchRun) -> set[Job]:
        """Add the verdicts to the jobs of a batch, and return the jobs that are complete."""
        complete = set()
        start = 0
        # Another thread may be adding to the same job.
        with self._changed:
            for each in batch:
                end = start + len(each)
                each.job.timings.runs.append(run)
                if each.job.add(each.start, verdicts.subset(start, end)):
                    complete.add(each.job)
                start = end
        return complete


def batch_share(queued: int, idle: int, image_s: float) -> int:
    """Return how many images one idle thread takes: an equal part, or more if its run is short.

    Args:
        queued: Number of queued images.
        idle: Number of idle threads, at least 1.
        image_s: Seconds for each image in the last run; infinite: unknown.
    """
    return max(math.ceil(queued / idle), math.ceil(MIN_THREAD_RUN_S / image_s))


def longest_batch(max_batch: int, max_run_s: float, image_s: float) -> int:
    """Return how many images may run together.

    Args:
        max_batch: Maximum number of images in one run.
        max_run_s: Longest run of several images; infinite: any.
        image_s: Seconds for each image in the last run; infinite: unknown.
    """
    if math.inf in {max_run_s, image_s}:
        return max_batch
    return max(1, min(max_batch, math.floor(max_run_s / image_s)))


def _gather(batch: Sequence[JobSlice], buffer: Pixels) -> Pixels:
    if len(batch) == 1:
        return batch[0].pixels
    end = sum(len(each) for each in batch)
    return np.concatenate([each.pixels for each in batch], out=buffer[:end])


def _resolve(jobs: set[Job]) -> None:
    """Resolve the jobs of a batch with one wake-up of their event loop, which takes longest."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.future.get_loop(), []).append(job)
    for loop, mine in by_loop.items():
        loop.call_soon_threadsafe(_resolve_each, mine)


def _resolve_each(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.resolve()
