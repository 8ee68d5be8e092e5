"""Progress of long work, with the time left: a bar on a terminal, else a line from time to time."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Self, TypeAlias, TypeVar

from oodguard.command_line.output import error_console, print_notice, printable, run

FIRST_LINE_S = 5.0
"""Shorter work prints no line."""

BETWEEN_LINES_S = 60.0

POLL_S = 1.0
"""The time after which it is checked again whether a line is due."""

Item = TypeVar("Item")

Advance: TypeAlias = Callable[[int], None]
"""Called with the number of parts that were finished since the last call."""


def describe_duration(seconds: float) -> str:
    """Write a duration in whole seconds, minutes or hours, such as `12 minutes`."""
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(round(seconds), 1)} s"


_start_count: ContextVar[Callable[[int], Advance] | None] = ContextVar("start", default=None)
"""Starts the count of the parts of a stage; set by `stages`."""


@contextmanager
def progress(work: str, total: int, *, unit: str = "images") -> Iterator[Advance]:
    """Show the progress of work on standard error until it ends.

    Args:
        work: The name of the work, such as `attacking`.
        total: The number of parts.
        unit: The name of the parts.
    """
    console = error_console()
    if not console.is_interactive:
        with ProgressLines(work, unit=unit) as lines:
            yield lines.count(total)
        return
    from rich.progress import (  # noqa: PLC0415 - help is quick
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit}, left:"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=_is_redirected(),
    ) as bar:
        task = bar.add_task(work, total=total)
        yield lambda parts: bar.advance(task, parts)


@contextmanager
def stages(first: str) -> Iterator[Callable[[str], None]]:
    """Show the name of each stage, and the time left of one that calls `counted`.

    Without a terminal, a stage that calls nothing is shown too: with the time that it has taken.

    Yields:
        The function that begins a stage.
    """
    console = error_console()
    if not console.is_interactive:
        with ProgressLines(first) as lines:
            token = _start_count.set(lines.count)
            try:
                yield lines.begin
            finally:
                _start_count.reset(token)
        return
    from rich.progress import (  # noqa: PLC0415 - help is quick
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn())
    name = TextColumn("{task.description}", markup=False)
    with Progress(
        *(name, *columns), console=console, transient=True, redirect_stdout=_is_redirected()
    ) as bar:
        task = bar.add_task(first, total=None)

        def begin(stage: str) -> None:
            bar.reset(task, total=None, description=printable(stage))

        def start_bar(total: int) -> Advance:
            bar.reset(task, total=total)
            return lambda parts: bar.advance(task, parts)

        token = _start_count.set(start_bar)
        try:
            yield begin
        finally:
            _start_count.reset(token)


def counted(total: int) -> Advance:
    """Return the function that counts finished parts of the stage that is shown, if any is."""
    start = _start_count.get()
    return start(total) if start is not None else lambda _: None


def track(items: Sequence[Item], work: str, *, unit: str = "images") -> Iterator[Item]:
    """Yield the items, and show the progress as `progress` does."""
    with progress(work, len(items), unit=unit) as advance:
        for item in items:
            yield item
            advance(1)


class ProgressLines:
    """Prints a line about the work after some seconds, and then one a minute.

    A thread prints the lines of work that finishes no part in that time. It runs from `start` to
    `stop`, or within the context.
    """

    def __init__(self, work: str, *, unit: str = "images") -> None:
        self._unit = unit
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._last_line = time.monotonic()
        self.begin(work)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the thread."""
        self._ended.clear()
        self._thread = threading.Thread(target=self._poll, name="progress", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def begin(self, work: str) -> None:
        """Begin a stage, whose parts are not counted yet."""
        self._work = work
        self._begun = self._counted_from = time.monotonic()
        self._has_line = False
        self._done = self._total = 0

    def rename(self, work: str) -> None:
        """Change the name of the stage; its count continues."""
        self._work = work

    def count(self, total: int) -> Advance:
        """Count the parts of the stage from 0; return `advance`."""
        self._counted_from = time.monotonic()
        self._done, self._total = 0, total
        return self.advance

    def advance(self, parts: int) -> None:
        """Record finished parts."""
        self._done += parts
        if 0 < self._done < self._total:
            self.print_if_due()

    def postpone(self) -> None:
        """Record that another line about the work was printed."""
        self._has_line, self._last_line = True, time.monotonic()

    def print_if_due(self) -> None:
        """Print a line if there was none for too long."""
        with self._lock:
            now = time.monotonic()
            is_first = not self._has_line and now >= self._begun + FIRST_LINE_S
            if run.quiet or not (is_first or now >= self._last_line + BETWEEN_LINES_S):
                return
            self.postpone()
            print_notice(f"{self._work}: {self._state(now)}")

    def _state(self, now: float) -> str:
        """Return how much is done, or else the time since the begin of the stage."""
        done, total = self._done, self._total
        if not 0 < done < total:
            return f"{describe_duration(now - self._begun)} so far"
        left = describe_duration((now - self._counted_from) / done * (total - done))
        return f"{done:,} of {total:,} {self._unit}, about {left} left"

    def _poll(self) -> None:
        while not self._ended.wait(POLL_S):
            self.print_if_due()


def _is_redirected() -> bool:
    """Return whether lines of standard output are printed above a bar: not those for a file."""
    return sys.stdout is not None and sys.stdout.isatty()
