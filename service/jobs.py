"""One request's images on their way: what the threads hand on, and how the request hears of it."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.verdicts import NO_VERDICTS, Verdicts

Pixels: TypeAlias = NDArray[np.uint8]
Dropped: TypeAlias = Literal["gone", "late", "failed"]


@dataclass(kw_only=True, slots=True)
class Timings:
    """Where a request's time went, in seconds: decoding, waiting for the engine, running."""

    decode_s: float = 0.0
    queue_s: float = 0.0
    run_s: float = 0.0


@dataclass(eq=False, kw_only=True, slots=True)
class Job:
    """The images of one request for one model.

    Made and awaited in the event loop; in between, one thread after the other owns it.

    Attributes:
        future: Where the request waits for its verdicts.
        deadline: The `time.monotonic()` past which nobody waits any more.
        gone: Set by the event loop once nobody waits; threads skip what is left.
        pixels: `(n, H, W, 3)` of the model's size; none before they are decoded.
        verdicts: Those that are there so far, in the order of the images.
        error: Why there will be no more.
        timings: Where the time went so far.
    """

    future: "asyncio.Future[Verdicts]"
    deadline: float
    gone: bool = False
    pixels: Pixels = field(default_factory=lambda: np.empty((0, 0, 0, 3), np.uint8))
    queued_at: float = 0.0
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

    def finished(self) -> bool:
        """Whether there is something to tell the request."""
        return self.error is not None or len(self.verdicts) == len(self.pixels)

    def tell(self) -> None:
        """Tell the request, if it still waits. To be called in the event loop."""
        if self.future.done():
            return
        if self.error:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.verdicts)
