"""Write a run's checkpoints and its CSV and TensorBoard logs."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.csv_logs import CSVLogger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from oodguard.training.fit.trainer import Trainer
from oodguard.training.run_folder import Epoch, RunFolder, RunProgress

FOLDER = "logs"

FILES = ("csv/metrics.csv", "tensorboard/events.out.tfevents.*")


class RunLogs:
    """The folder `logs` of a run, derived from the run's progress.

    `learning_rate` returns the learning rate at the end of an epoch, counted from 0.
    """

    def __init__(self, run: Path, learning_rate: Callable[[int], float]) -> None:
        self._folder = run / FOLDER
        self._learning_rate = learning_rate
        self._loggers: list[CSVLogger | TensorBoardLogger] = []

    def begin(self, epochs: Iterable[Epoch]) -> None:
        """Replace the log files by new ones with the finished epochs, so that none is doubled."""
        self.close()
        for pattern in FILES:
            for path in self._folder.glob(pattern):
                path.unlink()
        self._loggers = [
            CSVLogger(self._folder, name=None, version="csv"),
            TensorBoardLogger(self._folder, name=None, version="tensorboard"),
        ]
        for epoch in epochs:
            self.add(epoch)

    def add(self, epoch: Epoch) -> None:
        """Write one epoch; files count epochs from 1."""
        values: dict[str, Any] = epoch.model_dump(exclude={"epoch"}, exclude_none=True)
        values["learning_rate"] = self._learning_rate(epoch.epoch)
        for logger in self._loggers:
            logger.log_metrics(values, step=epoch.epoch + 1)
            logger.save()

    def close(self) -> None:
        """Finish the files."""
        for logger in self._loggers:
            logger.finalize("success")
        self._loggers = []


class RunRecorder:
    """Writes a run's folder from the first process; the other processes wait until it is done."""

    def __init__(self, run: RunFolder, trainer: Trainer) -> None:
        self._run = run
        self._trainer = trainer
        self._logs = RunLogs(run.folder, self._learning_rate_after)

    def begin(self, progress: RunProgress) -> None:
        """Write the logs of the finished epochs."""
        if self._trainer.fabric.is_global_zero:
            self._logs.begin(progress.epochs)
        self._trainer.fabric.barrier()

    def add_epoch(self, progress: RunProgress) -> None:
        """Write the checkpoint and the logs of one more epoch."""
        if self._trainer.fabric.is_global_zero:
            self._run.save(progress, self._trainer.state())
            self._logs.add(progress.epochs[-1])
        self._trainer.fabric.barrier()

    def roll_back(self, progress: RunProgress) -> None:
        """Write the progress and the logs of a rollback; the tensor file exists already."""
        if self._trainer.fabric.is_global_zero:
            self._run.commit(progress)
            self._logs.begin(progress.epochs)
        self._trainer.fabric.barrier()

    def close(self) -> None:
        """Finish the logs."""
        self._logs.close()

    def _learning_rate_after(self, epoch: int) -> float:
        return self._trainer.learning_rate((epoch + 1) * self._trainer.steps_per_epoch - 1)
