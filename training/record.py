"""What of a run goes to disk: its checkpoints and its logs, written by the first process alone."""

from training.checkpoint import Progress, RunFolder
from training.logs import Logs
from training.loop import Trainer


class Record:
    """Writes a run's folder; every process calls it, and goes on when all is written."""

    def __init__(self, run: RunFolder, trainer: Trainer) -> None:
        self._run = run
        self._trainer = trainer
        self._logs = Logs(run.folder, self._rate_after)

    def begin(self, progress: Progress) -> None:
        """Write the logs of what was done before."""
        if self._trainer.fabric.is_global_zero:
            self._logs.begin(progress.epochs)
        self._trainer.fabric.barrier()

    def advance(self, progress: Progress) -> None:
        """Write the checkpoint and the logs of one more epoch."""
        if self._trainer.fabric.is_global_zero:
            self._run.save(progress, self._trainer.state())
            self._logs.add(progress.epochs[-1])
        self._trainer.fabric.barrier()

    def roll_back(self, progress: Progress) -> None:
        """Write that epochs were undone; the tensors of what is left are there."""
        if self._trainer.fabric.is_global_zero:
            self._run.commit(progress)
            self._logs.begin(progress.epochs)
        self._trainer.fabric.barrier()

    def close(self) -> None:
        """Finish the logs."""
        self._logs.close()

    def _rate_after(self, epoch: int) -> float:
        return self._trainer.rate((epoch + 1) * self._trainer.steps_per_epoch - 1)
