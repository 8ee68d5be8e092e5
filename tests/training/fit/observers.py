"""An observer of a run that records its events and can stop it, as a kill would."""

from torch import Tensor

from oodguard.training.fit.trainer import StepResult
from oodguard.training.run_folder import RunFolder
from oodguard.training.run_progress import Epoch, RunProgress


class RecordingObserver:
    """Records epochs, warnings and, with `run`, the checkpoints that it finds in the run's folder.

    `stop_at` is the (epoch, step) at which it raises KeyboardInterrupt; `stop_after_warning` raises
    it in the second step after a warning.
    """

    def __init__(
        self,
        *,
        stop_at: tuple[int, int] | None = None,
        run: RunFolder | None = None,
        stop_after_warning: bool = False,
    ) -> None:
        self.stop_at = stop_at
        self.run = run
        self.stop_after_warning = stop_after_warning
        self.epochs: list[Epoch] = []
        self.warnings: list[str] = []
        self.started_epochs: list[int] = []
        self.tensors_before: dict[int, dict[str, Tensor]] = {}
        self.checkpoints_at_warnings: list[tuple[RunProgress, dict[str, Tensor]]] = []

    def start(self, *, epochs: int, steps_per_epoch: int, done: int) -> None:
        self.plan = (epochs, steps_per_epoch, done)

    def finish_step(self, epoch: int, result: StepResult) -> None:
        if (epoch, result.step) == self.stop_at:
            raise KeyboardInterrupt
        if result.step == 0:
            self.started_epochs.append(epoch)
            if self.run is not None and epoch > 0:
                self.tensors_before[epoch] = self.run.tensors(self.run.progress())
        elif self.warnings and self.stop_after_warning:
            raise KeyboardInterrupt

    def finish_epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)

    def warn(self, message: str) -> None:
        self.warnings.append(message)
        if self.run is not None:
            progress = self.run.progress()
            self.checkpoints_at_warnings.append((progress, self.run.tensors(progress)))


def is_same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    """Return whether two sets of tensors are equal bit for bit."""
    return one.keys() == two.keys() and all(one[key].equal(two[key]) for key in one)
