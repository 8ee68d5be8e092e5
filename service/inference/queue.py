"""The batch queue: jobs of whole requests in, batches of job slices out, fair to clients."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oodguard.models.reasons import Size
from oodguard.models.verdicts import NO_VERDICTS, Verdicts
from oodguard.service.errors import ClientDisconnected, drop_tracebacks
from oodguard.service.inference.turn_queue import TurnQueue

Pixels: TypeAlias = NDArray[np.uint8]

SkipReason: TypeAlias = Literal["gone", "late", "failed"]
"""Why images are not run: the request was abandoned, its deadline passed, or its job failed."""


@dataclass(frozen=True, slots=True)
class BatchRun:
    """One run of a model: its start and end by `time.monotonic()`, and the size of its batch."""

    started: float
    ended: float
    images: int


@dataclass(kw_only=True, slots=True)
class Timings:
    """The times of a request's stages by `time.monotonic()`; 0: not reached.

    Attributes:
        decode_started: Decoding began.
        decode_ended: Decoding ended, with or without an error.
        queued: The job entered the batch queue.
        taken: The first batch with one of its images began.
        runs: The runs of its images.
    """

    decode_started: float = 0.0
    decode_ended: float = 0.0
    queued: float = 0.0
    taken: float = 0.0
    runs: list[BatchRun] = field(default_factory=list)

    @property
    def decode_s(self) -> float:
        """Seconds of decoding."""
        return self.decode_ended - self.decode_started if self.decode_ended else 0.0

    @property
    def queue_s(self) -> float:
        """Seconds in the batch queue."""
        return self.taken - self.queued if self.taken else 0.0

    @property
    def run_s(self) -> float:
        """Seconds of the runs, which other requests share."""
        return sum(run.ended - run.started for run in self.runs)


@dataclass(eq=False, kw_only=True, slots=True)
class Job:
    """The images of one request for one model.

    The event loop creates and awaits it; in between, the decode and engine threads own it.

    Attributes:
        future: Receives the verdicts.
        deadline: The deadline of the request, by `time.monotonic()`.
        client: The client that sent the request; clients take turns in the queue.
        abandoned: Set by the event loop when the request ends; threads skip the rest of the job.
        pixels: `(n, H, W, 3)` of the model's size; empty before decoding.
        sizes: The width and height in the header of each image file; None: raw pixels.
        fdr: The false-discovery rate at which the images are decided together; None: the policy
            decides about each of them.
        parts: Verdicts on slices of the job, by the index of their first image.
        verdicts: Verdicts on all images in order, once every slice has run.
        error: Why the job failed.
        timings: The stages so far.
    """

    future: "asyncio.Future[Verdicts]"
    deadline: float
    client: str = ""
    abandoned: bool = False
    pixels: Pixels = field(default_factory=lambda: np.empty((0, 0, 0, 3), np.uint8))
    sizes: Sequence[Size] | None = None
    fdr: float | None = None
    parts: dict[int, Verdicts] = field(default_factory=dict)
    verdicts: Verdicts = NO_VERDICTS
    error: BaseException | None = None
    timings: Timings = field(default_factory=Timings)

    def skip_reason(self) -> SkipReason | None:
        """Return why the rest of the job is not worth running, or None."""
        if self.error:
            return "failed"
        if self.abandoned:
            return "gone"
        return "late" if time.monotonic() > self.deadline else None

    def add(self, start: int, verdicts: Verdicts) -> bool:
        """Add the verdicts on the slice that begins with image `start`; not thread-safe.

        Slices may be added in any order. Return whether the job is complete.
        """
        self.parts[start] = verdicts
        if sum(len(part) for part in self.parts.values()) < len(self.pixels):
            return False
        for _, part in sorted(self.parts.items()):
            self.verdicts = self.verdicts + part
        return True

    def resolve(self) -> None:
        """Set the future's result or error, if it has none. Call it in the event loop."""
        if self.future.done():
            if self.error:
                # No response to the request drops them: it has ended already.
                drop_tracebacks(self.error)
            return
        if self.error:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.verdicts)

    def cancel(self) -> None:
        """End the job after a client disconnect. Call it in the event loop."""
        self.abandoned = True
        if not self.future.done():
            self.future.set_exception(
                ClientDisconnected("the client disconnected before the response")
            )


@dataclass(frozen=True, slots=True)
class JobSlice:
    """Images `start` to `end` of a job: all of them, or as many as fit into a batch."""

    job: Job
    start: int
    end: int

    def __len__(self) -> int:
        """Return the number of images."""
        return self.end - self.start

    @property
    def pixels(self) -> Pixels:
        """The images, `(end - start, H, W, 3)`."""
        return self.job.pixels[self.start : self.end]

    def split(self, size: int) -> "tuple[JobSlice, JobSlice | None]":
        """Return the first `size` images, and the rest if there is one."""
        if len(self) <= size:
            return self, None
        middle = self.start + size
        return JobSlice(self.job, self.start, middle), JobSlice(self.job, middle, self.end)


class BatchQueue:
    """A queue in which clients take turns, image by image; see `TurnQueue`.

    The rest of a split job goes to the end of its client's jobs.

    Args:
        on_skip: Called with the number of images that are skipped, and the reason.

    Attributes:
        images: Number of images in the queue.
    """

    def __init__(self, on_skip: Callable[[int, SkipReason], None]) -> None:
        self.images = 0
        self._slices: TurnQueue[JobSlice] = TurnQueue()
        self._on_skip = on_skip

    def put(self, job: Job) -> None:
        """Append a decoded job."""
        job.timings.queued = time.monotonic()
        self._slices.put(job.client, JobSlice(job, 0, len(job.pixels)))
        self.images += len(job.pixels)

    def oldest(self) -> float:
        """Return when the next slice was queued, by `time.monotonic()`; there must be one."""
        return self._slices.first().job.timings.queued

    def take(self, max_images: int) -> list[JobSlice]:
        """Remove up to `max_images` images, and skip those that are not worth running."""
        batch: list[JobSlice] = []
        room = max_images
        while room and self._slices:
            first = self._slices.first()
            if reason := first.job.skip_reason():
                self._slices.advance(0)
                self.images -= len(first)
                self._on_skip(len(first), reason)
                continue
            first, rest = first.split(room)
            self._slices.advance(len(first), rest)
            batch.append(first)
            room -= len(first)
            self.images -= len(first)
        return batch
