"""The way back to intact weights once robustness has collapsed."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.csv_logs import CSVLogger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from oodguard.models.errors import RecipeError
from oodguard.training.config.recipe import Recipe
from oodguard.training.fit.catastrophic_overfitting import (
    MOST_ROLL_BACKS,
    RobustnessDrop,
    strengthened,
)
from oodguard.training.fit.trainer import Trainer
from oodguard.training.run_folder import Epoch, Progress, RollBack, RunFolder, tensors_name

FOLDER = "logs"

FILES = ("csv/metrics.csv", "tensorboard/events.out.tfevents.*")


class RunLogs:
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


class RunRecorder:
    """Writes a run's folder; every process calls it, and goes on when all is written."""

    def __init__(self, run: RunFolder, trainer: Trainer) -> None:
        self._run = run
        self._trainer = trainer
        self._logs = RunLogs(run.folder, self._rate_after)

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


def rolled_back(progress: Progress, epoch: Epoch, fall: RobustnessDrop, recipe: Recipe) -> Progress:
    """Return how far the run has come once the collapse, at `epoch`, is undone.

    Raises:
        RecipeError: it was undone as often as makes sense.
    """
    before = len(progress.rolled_back)
    if recipe.attack is None or progress.good is None:
        raise ValueError("a collapse without an attack, or before the first checkpoint")
    if before == MOST_ROLL_BACKS:
        raise RecipeError(
            f"epoch {epoch.epoch + 1}: {fall}, after {before} roll-backs: robustness collapses"
            " again and again. The checkpoint before is whole; train anew with more attack.steps,"
            " a smaller attack.epsilon_255 or a smaller schedule.peak_rate"
        )
    attack = strengthened(recipe.attack, before + 1)
    entry = RollBack(
        reason=str(fall),
        kept=progress.good,
        attack=f"pgd, {attack.steps} steps of {attack.step_size:g} epsilon",
        lost=(*progress.epochs[progress.good :], epoch),
    )
    return progress.model_copy(
        update={
            "tensors": tensors_name(progress.good),
            "epochs": progress.epochs[: progress.good],
            "rolled_back": (*progress.rolled_back, entry),
        }
    )


def return_to(run: RunFolder, trainer: Trainer, progress: Progress) -> None:
    """Give the trainer the weights that `progress` names, and the attack that it calls for."""
    trainer.restore(run.tensors(progress))
    trainer.harden(len(progress.rolled_back))


def told(progress: Progress, epoch: Epoch) -> str:
    """Say plainly what happened at `epoch` and what is done about it."""
    number, entry = len(progress.rolled_back), progress.rolled_back[-1]
    return (
        f"epoch {epoch.epoch + 1}: robustness has collapsed (catastrophic overfitting):"
        f" {entry.reason} while training accuracy is {epoch.training_accuracy:.1%}. Rolled back to"
        f" the weights after epoch {entry.kept}; from here on training attacks with {entry.attack}"
        f" (roll-back {number} of at most {MOST_ROLL_BACKS})"
    )
