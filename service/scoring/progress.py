"""The progress of a run on standard error: a bar on a terminal, else a line now and then."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from oodguard.command_line.output import error_console
from oodguard.command_line.progress import BETWEEN_LINES_S

RATE_AFTER_S = 1.0
"""The seconds between the first scored images and the first rate."""

STARTING = "starting"


class ScoringProgress:
    """Show the number of scored images, the rate and the time left, from the start.

    Args:
        images: The number of images of the run.
        done: The number that an earlier run has scored.
        clock: Returns the time in seconds.
    """

    def __init__(self, images: int, done: int, clock: Callable[[], float] = time.monotonic) -> None:
        console = error_console()
        self._images, self._done, self._clock = images, done, clock
        self._first: tuple[float, int] | None = None
        self._next_line = 0.0
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            console=console,
            transient=True,
            disable=not console.is_interactive,
        )
        self._task = self._bar.add_task("score", total=images, completed=done, state=STARTING)

    def advance(self, images: int) -> None:
        """Count images that were scored. The rate is measured from the first call on."""
        self._done += images
        now = self._clock()
        if self._first is None:
            self._first = now, self._done
            self._next_line = now + RATE_AFTER_S
        since, before = self._first
        state = STARTING
        if now - since >= RATE_AFTER_S:
            rate = (self._done - before) / (now - since)
            left = _duration((self._images - self._done) / max(rate, 1e-9))
            state = f"{rate:,.0f} images/s, {left} left"
        if not self._bar.disable:
            self._bar.update(self._task, completed=self._done, state=state)
        elif now >= self._next_line:
            self._next_line = now + BETWEEN_LINES_S
            self._print(state)

    def _print(self, state: str) -> None:
        done = f"{self._done:,} of {self._images:,} images ({self._done / self._images:.1%})"
        typer.echo(f"scored {done}, {state}", err=True)

    def __enter__(self) -> Self:
        """Show at once that the run has started."""
        self._bar.start()
        if self._bar.disable and self._done < self._images:
            self._print(STARTING)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
