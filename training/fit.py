"""A whole training run: data in, a checkpoint after every epoch, exact resume."""

import math
import time
from collections.abc import Iterable
from typing import Protocol

from models.errors import RecipeError
from training.checkpoint import Epoch, Progress, RunFolder, tensors_name
from training.collapse import Guard
from training.loop import Data, Tick, Trainer
from training.provenance import command, hardware, libraries
from training.reading import read_data
from training.rolling_back import return_to, rolled_back, told
from training.starting import Start


class Watcher(Protocol):
    """What a run tells while it goes on."""

    def start(self, *, epochs: int, steps_per_epoch: int, done: int) -> None:
        """Training begins; `done` epochs were finished before."""

    def tick(self, epoch: int, tick: Tick) -> None:
        """One step was made."""

    def finish_epoch(self, epoch: Epoch) -> None:
        """One epoch was made and its figures taken."""

    def warn(self, message: str) -> None:
        """Something about the data or the run wants to be known, and training goes on."""


def fit(run: RunFolder, watcher: Watcher, *, resume: bool, start: Start | None = None) -> Progress:
    """Train what the run's recipe says, from its last checkpoint if `resume`.

    A new run begins with the weights of `start` where they are given. Where robustness collapses,
    the run goes back to the last weights that had it and on with a stronger attack.

    Raises:
        RecipeError: the data do not fit the recipe, there is nothing to resume, the loss is no
            number any more, or robustness collapses again and again.
        CheckpointError: the disk does not take a checkpoint, or the one to begin with is of
            another network.
    """
    recipe = run.recipe
    data = read_data(recipe, watcher.warn)
    trainer = Trainer(recipe, data)
    progress = _begun(data)
    if resume:
        progress = _gone_on(run.progress(), progress)
        return_to(run, trainer, progress)
    elif start is not None:
        trainer.begin_with(start.tensors, origin=start.origin.name)
        progress = progress.model_copy(update={"started_from": start.origin})
    watcher.start(
        epochs=recipe.schedule.epochs,
        steps_per_epoch=trainer.steps_per_epoch,
        done=len(progress.epochs),
    )
    guard = Guard.from_recipe(recipe, images=trainer.watch.images)
    while len(progress.epochs) < recipe.schedule.epochs:
        progress = _next(run, trainer, guard, progress, watcher)
    return progress


def _next(
    run: RunFolder, trainer: Trainer, guard: Guard, progress: Progress, watcher: Watcher
) -> Progress:
    """Make one epoch and keep it, or undo it."""
    epoch = _one_epoch(trainer, len(progress.epochs), watcher)
    watcher.finish_epoch(epoch)
    fall = guard.fall(progress.epochs, epoch)
    if fall is not None and fall.is_collapse:
        progress = rolled_back(progress, epoch, fall, trainer.recipe)
        run.commit(progress)
        return_to(run, trainer, progress)
        watcher.warn(told(progress.rolled_back[-1], epoch, len(progress.rolled_back)))
    else:
        progress = _advanced(progress, epoch, is_good=fall is None or fall.is_slight)
        run.save(progress, trainer.state())
    return progress


def _one_epoch(trainer: Trainer, number: int, watcher: Watcher) -> Epoch:
    began = time.perf_counter()
    ticks: list[Tick] = []
    for tick in trainer.train_epoch(number):
        ticks.append(tick)
        watcher.tick(number, tick)
    loss = _mean(tick.loss for tick in ticks)
    if not math.isfinite(loss):
        raise RecipeError(
            f"epoch {number + 1}: the loss is {loss}, a number was wanted. The checkpoint before it"
            " is whole; train anew with a smaller schedule.peak_rate"
        )
    figures = trainer.watch(trainer.average)
    return Epoch(
        epoch=number,
        loss=loss,
        training_accuracy=_mean(tick.accuracy for tick in ticks),
        accuracy=figures.accuracy,
        attacked_accuracy=figures.attacked_accuracy,
        attacked_auroc=figures.attacked_auroc,
        duration_s=time.perf_counter() - began,
    )


def _begun(data: Data) -> Progress:
    return Progress(
        tensors=tensors_name(0),
        epochs=(),
        hardware=hardware(),
        command=command(),
        libraries=libraries(),
        training_images=len(data.training),
        outlier_images=len(data.outliers) if data.outliers else 0,
    )


def _gone_on(before: Progress, now: Progress) -> Progress:
    """Return how far the run has come, with where and by which command it goes on."""
    told_anew = {"hardware", "command", "libraries", "training_images", "outlier_images"}
    good = len(before.epochs) if before.good is None else before.good
    return before.model_copy(update={**now.model_dump(include=told_anew), "good": good})


def _advanced(progress: Progress, epoch: Epoch, *, is_good: bool) -> Progress:
    epochs = (*progress.epochs, epoch)
    good = len(epochs) if is_good else progress.good
    return progress.model_copy(
        update={"tensors": tensors_name(len(epochs)), "epochs": epochs, "good": good}
    )


def _mean(values: Iterable[float]) -> float:
    held = list(values)
    return sum(held) / len(held)
