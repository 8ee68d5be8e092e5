"""The waiting line in front of an engine: whole requests in, batches out."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oodguard.models.verdicts import NO_VERDICTS, Verdicts

Pixels: TypeAlias = NDArray[np.uint8]

Dropped: TypeAlias = Literal["gone", "late", "failed"]


@dataclass(frozen=True, slots=True)
class BatchRun:
    """One run of the model: its `time.monotonic()` start and end, and all its images."""

    started: float
    ended: float
    images: int


@dataclass(kw_only=True, slots=True)
class Timings:
    """When what happened to a request, by `time.monotonic()`; 0 is not yet, or not at all.

    Attributes:
        decode_started: A decoder took it.
        decode_ended: The decoder was done with it, whatever came of it.
        queued: It began to wait for the engine.
        taken: The engine began with the first of its images.
        runs: The runs that its images were in.
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
        """Seconds of waiting for the engine."""
        return self.taken - self.queued if self.taken else 0.0

    @property
    def run_s(self) -> float:
        """Seconds in which the engine ran its images, with those of others."""
        return sum(run.ended - run.started for run in self.runs)


@dataclass(eq=False, kw_only=True, slots=True)
class Job:
    """The images of one request for one model.

    Made and awaited in the event loop; in between, threads own it.

    Attributes:
        future: Where the request waits for its verdicts.
        deadline: The `time.monotonic()` past which nobody waits any more.
        gone: Set by the event loop once nobody waits; threads skip what is left.
        pixels: `(n, H, W, 3)` of the model's size; none before they are decoded.
        parts: Verdicts on some of the images, by the first of them.
        verdicts: All of them, in the order of the images, once they are there.
        error: Why there will be no more.
        timings: When what happened so far.
    """

    future: "asyncio.Future[Verdicts]"
    deadline: float
    gone: bool = False
    pixels: Pixels = field(default_factory=lambda: np.empty((0, 0, 0, 3), np.uint8))
    parts: dict[int, Verdicts] = field(default_factory=dict)
    verdicts: Verdicts = NO_VERDICTS
    error: BaseException | None = None
    timings: Timings = field(default_factory=Timings)

    def dropped(self) -> Dropped | None:
        """Why the rest is not worth any more work, if so."""
        if self.error:
            return "failed"
        if self.gone:
            return "gone"
        return "late" if time.monotonic() > self.deadline else None

    def add(self, start: int, verdicts: Verdicts) -> bool:
        """Take the verdicts on the images from `start` on; whether they were the last to come.

        Parts of a job are run at the same time and come in any order: one thread at a time, please.
        """
        self.parts[start] = verdicts
        if sum(len(part) for part in self.parts.values()) < len(self.pixels):
            return False
        for _, part in sorted(self.parts.items()):
            self.verdicts = self.verdicts.then(part)
        return True

    def tell(self) -> None:
        """Tell the request, if it still waits. To be called in the event loop."""
        if self.future.done():
            return
        if self.error:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.verdicts)


@dataclass(frozen=True, slots=True)
class JobSlice:
    """Images `start` to `end` of a job: all of them, or as many as fit into a batch."""

    job: Job
    start: int
    end: int

    def __len__(self) -> int:
        """How many images."""
        return self.end - self.start

    @property
    def pixels(self) -> Pixels:
        """The images."""
        return self.job.pixels[self.start : self.end]


class BatchQueue:
    """First come, first served; but what is left of a large request lets the others go first.

    Args:
        skipped: Hears how many images of a job were dropped, and why.

    Attributes:
        images: How many wait.
    """

    def __init__(self, skipped: Callable[[int, Dropped], None]) -> None:
        self.images = 0
        self._pieces: deque[JobSlice] = deque()
        self._skipped = skipped

    def put(self, job: Job) -> None:
        """Let a decoded job wait."""
        self._pieces.append(JobSlice(job, 0, len(job.pixels)))
        self.images += len(job.pixels)

    def oldest(self) -> float:
        """When the first in line was queued, by `time.monotonic()`; there must be one."""
        return self._pieces[0].job.timings.queued

    def take(self, room: int) -> list[JobSlice]:
        """Take up to `room` images out of the line, dropping what nobody waits for."""
        taken: list[JobSlice] = []
        while room and self._pieces:
            piece = self._pieces.popleft()
            if why := piece.job.dropped():
                self.images -= len(piece)
                self._skipped(len(piece), why)
                continue
            head, rest = _cut(piece, room)
            if rest:
                self._pieces.append(rest)
            taken.append(head)
            room -= len(head)
            self.images -= len(head)
        return taken


def _cut(piece: JobSlice, room: int) -> tuple[JobSlice, JobSlice | None]:
    if len(piece) <= room:
        return piece, None
    cut = piece.start + room
    return JobSlice(piece.job, piece.start, cut), JobSlice(piece.job, cut, piece.end)
