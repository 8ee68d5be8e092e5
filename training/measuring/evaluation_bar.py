"""An evaluation on the terminal: what is measured, how far it is, how long it will take."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


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
