"""A run on the terminal: one bar for the epoch, one line for each that is done."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Annotated, Self

import datasets
import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from oodguard.models.errors import GuardError
from oodguard.training.fit.trainer import StepResult
from oodguard.training.run_folder import Epoch


class EvaluationBar:
    """Shows an evaluation through rich; on a plain pipe nothing is printed before its end."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            # The attack's speed changes from set to set; a long window does not jump with it.
            speed_estimate_period=120,
        )
        self._task = self._bar.add_task("loading", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def start(self, steps: int) -> None:
        """Begin; `steps` gradient steps of one image are to be made."""
        self._bar.update(self._task, total=steps)

    def tell(self, what: str) -> None:
        """Say what is measured now."""
        self._bar.update(self._task, description=what)

    def advance(self, steps: int) -> None:
        """Go on by so many."""
        self._bar.update(self._task, advance=steps)


console = Console()

Threads = Annotated[int | None, typer.Option(min=1, help="Threads of torch; default: all cores.")]


@contextmanager
def settings(threads: int | None) -> Iterator[None]:
    """Set torch's threads, and print an error of ours as one clear message."""
    datasets.disable_progress_bars()  # it draws one for every file that it opens
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    except GuardError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error


class ProgressBar:
    """Shows a run through rich; on a plain pipe only the lines are printed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.2f} accuracy {task.fields[accuracy]:.0%}"),
            TextColumn("{task.fields[validated]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("fit", epoch=1, loss=0.0, accuracy=0.0, validated="")
        self._steps_per_epoch = 0
        self._epochs = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def start(self, *, epochs: int, steps_per_epoch: int, done: int) -> None:
        """Begin at epoch `done` of `epochs`."""
        self._epochs = epochs
        self._steps_per_epoch = steps_per_epoch
        total = epochs * steps_per_epoch
        self._bar.update(self._task, total=total, completed=done * steps_per_epoch)

    def finish_step(self, epoch: int, result: StepResult) -> None:
        """Advance by one step."""
        self._bar.update(
            self._task,
            completed=epoch * self._steps_per_epoch + result.step + 1,
            epoch=epoch + 1,
            loss=result.loss,
            accuracy=result.accuracy,
        )

    def warn(self, message: str) -> None:
        """Print a warning above the bar."""
        self._console.print(f"warning: {message}", style="yellow", markup=False, soft_wrap=True)

    def finish_epoch(self, epoch: Epoch) -> None:
        """Print one line of figures, and keep the latest validation beside the bar."""
        auroc = "" if epoch.attacked_auroc is None else f", AUROC {epoch.attacked_auroc:.3f}"
        latest = f"validated {epoch.accuracy:.0%} attacked {epoch.attacked_accuracy:.0%}"
        self._bar.update(self._task, validated=latest)
        self._console.print(
            f"epoch {epoch.epoch + 1}/{self._epochs}: loss {epoch.loss:.3f},"
            f" training accuracy {epoch.training_accuracy:.1%},"
            f" validation accuracy {epoch.accuracy:.1%},"
            f" attacked {epoch.attacked_accuracy:.1%}{auroc}, {epoch.duration_s:.0f} s",
            highlight=False,
            soft_wrap=True,
        )
