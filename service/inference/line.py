"""The waiting line in front of an engine: whole requests in, batches out."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from service.inference.jobs import Dropped, Job, Pixels


@dataclass(frozen=True, slots=True)
class Piece:
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


class Line:
    """First come, first served; but what is left of a large request lets the others go first.

    Args:
        skipped: Hears how many images of a job were dropped, and why.

    Attributes:
        images: How many wait.
    """

    def __init__(self, skipped: Callable[[int, Dropped], None]) -> None:
        self.images = 0
        self._pieces: deque[Piece] = deque()
        self._skipped = skipped

    def put(self, job: Job) -> None:
        """Let a decoded job wait."""
        self._pieces.append(Piece(job, 0, len(job.pixels)))
        self.images += len(job.pixels)

    def oldest(self) -> float:
        """When the first in line was queued, by `time.monotonic()`; there must be one."""
        return self._pieces[0].job.timings.queued

    def take(self, room: int) -> list[Piece]:
        """Take up to `room` images out of the line, dropping what nobody waits for."""
        taken: list[Piece] = []
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


def _cut(piece: Piece, room: int) -> tuple[Piece, Piece | None]:
    if len(piece) <= room:
        return piece, None
    cut = piece.start + room
    return Piece(piece.job, piece.start, cut), Piece(piece.job, cut, piece.end)
