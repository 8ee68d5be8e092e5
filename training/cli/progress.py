"""Progress of training and evaluation: bars on a terminal, else lines."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from oodguard.command_line.output import warn
from oodguard.command_line.progress import ProgressLines, counted, describe_duration
from oodguard.models.counts import count_of
from oodguard.training.fit.trainer import StepResult
from oodguard.training.run_progress import Epoch

TIMED_STEPS = 5
"""The number of steps after which the time of an epoch is estimated."""


class BarOrLines(Progress):
    """A bar where the console is a terminal, else `lines`; a context manager."""

    def __init__(
        self,
        *columns: ProgressColumn,
        console: Console,
        lines: ProgressLines,
        speed_estimate_period: float = 30.0,
    ) -> None:
        super().__init__(
            *columns,
            console=console,
            transient=True,
            disable=not console.is_interactive,
            speed_estimate_period=speed_estimate_period,
        )
        self._lines = lines

    def start(self) -> None:
        """Show the bar, or begin to print lines."""
        super().start()
        if self.disable:
            self._lines.start()

    def stop(self) -> None:
        """Hide the bar, or end the lines."""
        super().stop()
        if self.disable:
            self._lines.stop()


class ProgressBar:
    """Prints a line per epoch; on a terminal it also shows a bar from the first step to the last.

    `display` is a context manager. Without a terminal, epochs that take longer than a minute have
    lines too.
    """

    def __init__(self, console: Console) -> None:
        self._lines = ProgressLines("reading", unit="steps")
        self.display = BarOrLines(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.2f} accuracy {task.fields[accuracy]:.0%}"),
            TextColumn("{task.fields[validated]}"),
            TimeRemainingColumn(),
            console=console,
            lines=self._lines,
        )
        self._console = console
        self._task = self.display.add_task(
            "fit", visible=False, epoch=1, loss=0.0, accuracy=0.0, validated=""
        )
        self._steps_per_epoch = 0
        self._steps = 0
        self._started = 0.0
        self._epochs = 0

    def start(self, *, epochs: int, steps_per_epoch: int, done: int) -> None:
        """Start after `done` of the epochs."""
        self._epochs = epochs
        self._steps_per_epoch = steps_per_epoch
        total = epochs * steps_per_epoch
        completed = done * steps_per_epoch
        self.display.update(
            self._task, visible=True, total=total, completed=completed, epoch=done + 1
        )
        self._lines.rename(f"epoch {min(done + 1, epochs)}/{epochs}")
        self._lines.count(total - completed)

    def finish_step(self, epoch: int, result: StepResult) -> None:
        """Advance by one step; without a bar, print the time of an epoch after a few steps."""
        self._steps += 1
        self._lines.rename(f"epoch {epoch + 1}/{self._epochs}")
        self._lines.advance(1)
        if self._steps == 1:  # slower than the others
            self._started = time.perf_counter()
        if self._steps == TIMED_STEPS and self.display.disable:
            seconds = (time.perf_counter() - self._started) / (TIMED_STEPS - 1)
            self._console.print(
                f"Training has begun: about {describe_duration(seconds * self._steps_per_epoch)}"
                f" per epoch, in addition to validation; {count_of(self._epochs, 'epoch')} in all.",
                highlight=False,
                soft_wrap=True,
            )
        self.display.update(
            self._task,
            completed=epoch * self._steps_per_epoch + result.step + 1,
            epoch=epoch + 1,
            loss=result.loss,
            accuracy=result.accuracy,
        )

    def finish_epoch(self, epoch: Epoch) -> None:
        """Print a line with the results, and show the latest validation in the bar."""
        auroc = "" if epoch.attacked_auroc is None else f", AUROC {epoch.attacked_auroc:.3f}"
        share = ""
        if epoch.validation_s is not None:
            share = f" (validation {epoch.validation_s / epoch.duration_s:.0%})"
        self._lines.postpone()
        latest = f"validated {epoch.accuracy:.0%} attacked {epoch.attacked_accuracy:.0%}"
        self.display.update(self._task, validated=latest)
        self._console.print(
            f"epoch {epoch.epoch + 1}/{self._epochs}: loss {epoch.loss:.3f},"
            f" training accuracy {epoch.training_accuracy:.1%},"
            f" validation accuracy {epoch.accuracy:.1%},"
            f" attacked {epoch.attacked_accuracy:.1%}{auroc}, {epoch.duration_s:.0f} s{share}",
            highlight=False,
            soft_wrap=True,
        )

    def warn(self, message: str) -> None:
        """Print a warning above the bar."""
        warn(message)


class EvaluationBar:
    """Shows the progress of an evaluation until it is finished.

    `display` is a context manager.
    """

    def __init__(self, console: Console) -> None:
        self._lines = ProgressLines("reading", unit="gradient steps")
        self.display = BarOrLines(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=console,
            lines=self._lines,
            # The attack's speed differs between data sets; a long window averages over them.
            speed_estimate_period=120,
        )
        self._task = self.display.add_task("loading", total=None)

    def start(self, steps: int, *, seconds: float, finished: int) -> None:
        """Start; print the estimated time of `steps` gradient steps of one image."""
        self.display.update(self._task, total=steps)
        self._lines.count(steps)
        if finished:
            self.display.console.print(
                f"Continuing an interrupted evaluation; finished parts: {finished}.",
                highlight=False,
            )
        self.display.console.print(
            f"Estimated time{' of all parts' if finished else ''}: {describe_duration(seconds)}"
            f" ({1000 * seconds / max(steps, 1):.1f} ms for a gradient step of one image).",
            highlight=False,
            soft_wrap=True,
        )

    def stage(self, name: str) -> None:
        """Show the current stage."""
        self.display.update(self._task, description=name)
        self._lines.rename(name)

    def advance(self, steps: int) -> None:
        """Advance by `steps` gradient steps."""
        self.display.update(self._task, advance=steps)
        self._lines.advance(steps)


def attack_progress(stage: Callable[[str], None]) -> Callable[[int, int], None]:
    """Return a function that shows the progress of an attack as a stage of `stages`.

    Its arguments are the number of attacked images and that of all; 0 attacked: the attack begins.
    """
    before, advance = 0, counted(0)

    def show(done: int, total: int) -> None:
        nonlocal before, advance
        if not done:
            stage("attacking")
            before, advance = 0, counted(total)
        advance(done - before)
        before = done

    return show
