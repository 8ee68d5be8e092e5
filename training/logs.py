"""A run's figures, epoch by epoch, as a CSV file and for TensorBoard."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.csv_logs import CSVLogger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from training.checkpoint import Epoch

FOLDER = "logs"
FILES = ("csv/metrics.csv", "tensorboard/events.out.tfevents.*")


class Logs:
    """The folder `logs` of a run.

    It is derived from the run's progress: `begin` writes anew what is there of it, so that nothing
    stands in it twice and nothing of an epoch that was undone. `rate_of` tells the learning rate at
    the end of an epoch, counted from 0.
    """

    def __init__(self, run: Path, rate_of: Callable[[int], float]) -> None:
        self._folder = run / FOLDER
        self._rate_of = rate_of
        self._loggers: list[CSVLogger | TensorBoardLogger] = []

    def begin(self, epochs: Iterable[Epoch]) -> None:
        """Write the epochs that were made before."""
        self.close()
        for pattern in FILES:
            for old in self._folder.glob(pattern):
                old.unlink()
        self._loggers = [
            CSVLogger(self._folder, name=None, version="csv"),
            TensorBoardLogger(self._folder, name=None, version="tensorboard"),
        ]
        for epoch in epochs:
            self.add(epoch)

    def add(self, epoch: Epoch) -> None:
        """Write one epoch."""
        for logger in self._loggers:
            logger.log_metrics(self._figures(epoch), step=epoch.epoch + 1)
            logger.save()

    def close(self) -> None:
        """Finish the files."""
        for logger in self._loggers:
            logger.finalize("success")
        self._loggers = []

    def _figures(self, epoch: Epoch) -> dict[str, Any]:
        figures = epoch.model_dump(exclude={"epoch"}, exclude_none=True)
        return {**figures, "learning_rate": self._rate_of(epoch.epoch)}
