"""A whole training run: data in, a checkpoint after every epoch, exact resume."""

import math
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Protocol

from lightning_fabric import Fabric

from oodguard.models.errors import RecipeError
from oodguard.training.config.recipe import Recipe
from oodguard.training.data.dataset import ImageSet, load, split, without_inliers
from oodguard.training.fit.catastrophic_overfitting import CatastrophicOverfittingDetector
from oodguard.training.fit.distributed import computing_on
from oodguard.training.fit.rollback import RunRecorder, return_to, rolled_back, told
from oodguard.training.fit.trainer import Data, Tick, Trainer
from oodguard.training.provenance import command, libraries
from oodguard.training.run_folder import Epoch, Progress, RunFolder, Start, tensors_name


def read_data(recipe: Recipe, warn: Callable[[str], None]) -> Data:
    """Load the inliers' training and validation parts, and the outliers.

    Outliers that are inliers as well are left out, of which `warn` hears.

    Raises:
        RecipeError: a source cannot be read, or is too small for the recipe.
    """
    every = load(recipe.inliers, recipe.input)
    inliers = split(every, recipe.inliers, seed=recipe.seed)
    if len(inliers.training) < recipe.schedule.batch_size:
        raise RecipeError(
            f"schedule.batch_size: {recipe.schedule.batch_size} is more than the"
            f" {len(inliers.training)} images left for training; a smaller one was wanted"
        )
    outliers: ImageSet | None = None
    held_out: ImageSet | None = None
    if recipe.outliers is not None and recipe.outliers.synthetic < 1:
        pool = without_inliers(load(recipe.outliers, recipe.input), every, warn)
        outliers, held_out = _parted(pool, recipe.outliers.validation)
    return Data(
        training=inliers.training,
        validation=inliers.validation,
        outliers=outliers,
        held_out=held_out,
    )


def _parted(pool: ImageSet, validation: int) -> tuple[ImageSet, ImageSet | None]:
    """Divide the outliers into those that are trained on and, where asked, those held out."""
    if validation == 0:
        return pool, None
    if len(pool) < 2 * validation:
        raise RecipeError(
            f"outliers.validation: {validation} were to be held out, at most half of the"
            f" {len(pool)} in {pool.name} were wanted"
        )
    return pool.subset(slice(-validation)), pool.subset(slice(-validation, None))


class FitObserver(Protocol):
    """What a run tells while it goes on."""

    def start(self, *, epochs: int, steps_per_epoch: int, done: int) -> None:
        """Training begins; `done` epochs were finished before."""

    def tick(self, epoch: int, tick: Tick) -> None:
        """One step was made."""

    def finish_epoch(self, epoch: Epoch) -> None:
        """One epoch was made and its figures taken."""

    def warn(self, message: str) -> None:
        """Something about the data or the run wants to be known, and training goes on."""


def fit(
    run: RunFolder,
    watcher: FitObserver,
    *,
    resume: bool,
    start: Start | None = None,
    fabric: Fabric | None = None,
) -> Progress:
    """Train what the run's recipe says, from its last checkpoint if `resume`.

    A new run begins with the weights of `start` where they are given. Where robustness collapses,
    the run goes back to the last weights that had it and on with a stronger attack. With `fabric`
    of several processes each calls this, and they train one network.

    Raises:
        RecipeError: the data do not fit the recipe, there is nothing to resume, the loss is no
            number any more, or robustness collapses again and again.
        CheckpointError: the disk does not take a checkpoint, or the one to begin with is of
            another network.
    """
    data = read_data(run.recipe, watcher.warn)
    trainer = Trainer(run.recipe, data, fabric)
    progress = _begun(data, trainer)
    if resume:
        progress = _gone_on(run.progress(), progress)
        return_to(run, trainer, progress)
    elif start is not None:
        trainer.begin_with(start.tensors, origin=start.origin.name)
        progress = progress.model_copy(update={"started_from": start.origin})
    return _go_on(run, trainer, progress, watcher)


def _go_on(run: RunFolder, trainer: Trainer, progress: Progress, watcher: FitObserver) -> Progress:
    """Make the epochs that are left; keep each, or undo it."""
    epochs = run.recipe.schedule.epochs
    guard = CatastrophicOverfittingDetector.from_recipe(run.recipe, images=trainer.watch.images)
    watcher.start(epochs=epochs, steps_per_epoch=trainer.steps_per_epoch, done=len(progress.epochs))
    with closing(RunRecorder(run, trainer)) as record:
        record.begin(progress)
        while len(progress.epochs) < epochs:
            epoch = _one_epoch(trainer, len(progress.epochs), watcher)
            watcher.finish_epoch(epoch)
            fall = guard.fall(progress.epochs, epoch)
            if fall is not None and fall.is_collapse:
                progress = rolled_back(progress, epoch, fall, run.recipe)
                record.roll_back(progress)
                return_to(run, trainer, progress)
                watcher.warn(told(progress, epoch))
            else:
                progress = _advanced(progress, epoch, is_good=fall is None or fall.is_slight)
                record.advance(progress)
    return progress


def _one_epoch(trainer: Trainer, number: int, watcher: FitObserver) -> Epoch:
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
    figures = trainer.measure()
    epoch = Epoch(
        epoch=number,
        loss=loss,
        training_accuracy=_mean(tick.accuracy for tick in ticks),
        accuracy=figures.accuracy,
        attacked_accuracy=figures.attacked_accuracy,
        attacked_auroc=figures.attacked_auroc,
        duration_s=time.perf_counter() - began,
    )
    return trainer.fabric.broadcast(epoch)  # the clocks of several processes differ


def _begun(data: Data, trainer: Trainer) -> Progress:
    return Progress(
        tensors=tensors_name(0),
        epochs=(),
        hardware=computing_on(trainer.fabric),
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
