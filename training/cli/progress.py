"""Progress bars of training and evaluation."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from oodguard.training.fit.trainer import StepResult
from oodguard.training.run_progress import Epoch


def describe_duration(seconds: float) -> str:
    """Write a duration in whole seconds, minutes or hours, such as `12 minutes`."""
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(round(seconds), 1)} s"


TIMED_STEPS = 5
"""The number of steps after which the time of an epoch is estimated."""


class ProgressBar:
    """Prints a line per epoch; on a terminal it also shows a bar from the first step to the last.

    `display` is a context manager.
    """

    def __init__(self, console: Console) -> None:
        self.display = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.2f} accuracy {task.fields[accuracy]:.0%}"),
            TextColumn("{task.fields[validated]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_interactive,
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

    def finish_step(self, epoch: int, result: StepResult) -> None:
        """Advance by one step; without a bar, print the time of an epoch after a few steps."""
        self._steps += 1
        if self._steps == 1:  # slower than the others
            self._started = time.perf_counter()
        if self._steps == TIMED_STEPS and self.display.disable:
            seconds = (time.perf_counter() - self._started) / (TIMED_STEPS - 1)
            self._console.print(
                f"Training has begun: about {describe_duration(seconds * self._steps_per_epoch)}"
                f" for each of {self._epochs} epochs, in addition to validation.",
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
        self._console.print(f"warning: {message}", style="yellow", markup=False, soft_wrap=True)


class EvaluationBar:
    """Shows the progress of an evaluation on a terminal, until it is finished.

    `display` is a context manager.
    """

    def __init__(self, console: Console) -> None:
        self.display = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_interactive,
            # The attack's speed differs between data sets; a long window averages over them.
            speed_estimate_period=120,
        )
        self._task = self.display.add_task("loading", total=None)

    def start(self, steps: int, *, seconds: float, finished: int) -> None:
        """Start; print the estimated time of `steps` gradient steps of one image."""
        self.display.update(self._task, total=steps)
        if finished:
            self.display.console.print(
                f"Continuing an interrupted evaluation: {finished} parts are finished.",
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

    def advance(self, steps: int) -> None:
        """Advance by `steps` gradient steps."""
        self.display.update(self._task, advance=steps)
