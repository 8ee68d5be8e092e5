"""A whole training run: data in, a checkpoint after every epoch, exact resume."""

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from models.errors import RecipeError
from training.checkpoint import Epoch, Progress, RunFolder
from training.data import ImageSet, load, split
from training.duplicates import without_inliers
from training.loop import Data, Tick, Trainer
from training.provenance import command, hardware, libraries
from training.recipe import Recipe


class Watcher(Protocol):
    """What a run tells while it goes on."""

    def start(self, *, epochs: int, steps_per_epoch: int, done: int) -> None:
        """Training begins; `done` epochs were finished before."""

    def tick(self, epoch: int, tick: Tick) -> None:
        """One step was made."""

    def finish_epoch(self, epoch: Epoch) -> None:
        """One epoch was made and its checkpoint written."""

    def warn(self, message: str) -> None:
        """Something about the data wants to be known, and training goes on."""


def fit(run: RunFolder, watcher: Watcher, *, resume: bool) -> Progress:
    """Train what the run's recipe says, from its last checkpoint if `resume`.

    Raises:
        RecipeError: the data do not fit the recipe, or there is nothing to resume.
        CheckpointError: the disk does not take a checkpoint, or the last one is of another network.
    """
    recipe = run.recipe
    data = read_data(recipe, watcher.warn)
    trainer = Trainer(recipe, data)
    done: tuple[Epoch, ...] = ()
    if resume:
        before = run.progress()
        trainer.restore(run.tensors(before))
        done = before.epochs
    watcher.start(
        epochs=recipe.schedule.epochs, steps_per_epoch=trainer.steps_per_epoch, done=len(done)
    )
    for number in range(len(done), recipe.schedule.epochs):
        epoch = _one_epoch(trainer, number, watcher)
        done = (*done, epoch)
        run.save(_progress(data, done), trainer.state())
        watcher.finish_epoch(epoch)
    return run.progress()


def read_data(recipe: Recipe, warn: Callable[[str], None]) -> Data:
    """Load what training reads: the inliers' training and validation parts, and the outliers.

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
    if recipe.outliers is not None and recipe.outliers.synthetic < 1:
        outliers = without_inliers(load(recipe.outliers, recipe.input), every, warn)
    return Data(training=inliers.training, validation=inliers.validation, outliers=outliers)


def _one_epoch(trainer: Trainer, number: int, watcher: Watcher) -> Epoch:
    began = time.perf_counter()
    ticks: list[Tick] = []
    for tick in trainer.train_epoch(number):
        ticks.append(tick)
        watcher.tick(number, tick)
    accuracy, attacked_accuracy = trainer.validate()
    return Epoch(
        epoch=number,
        loss=_mean(tick.loss for tick in ticks),
        training_accuracy=_mean(tick.accuracy for tick in ticks),
        accuracy=accuracy,
        attacked_accuracy=attacked_accuracy,
        duration_s=time.perf_counter() - began,
    )


def _progress(data: Data, done: tuple[Epoch, ...]) -> Progress:
    return Progress(
        tensors=f"epoch-{len(done):03d}.safetensors",
        epochs=done,
        hardware=hardware(),
        command=command(),
        libraries=libraries(),
        training_images=len(data.training),
        outlier_images=len(data.outliers) if data.outliers else 0,
    )


def _mean(values: Iterable[float]) -> float:
    held = list(values)
    return sum(held) / len(held)
