"""Write the CSV and TensorBoard logs of a run."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.csv_logs import CSVLogger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from oodguard.training.run_progress import Epoch

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
