"""Train a run from its recipe: an epoch, a checkpoint, and a rollback where it is needed."""

import math
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Protocol

from lightning_fabric import Fabric
from torch import Tensor

from oodguard.models.errors import RecipeError
from oodguard.models.free_memory import return_free_memory
from oodguard.training.data.card import read_data_card
from oodguard.training.data.copies import evaluation_notes
from oodguard.training.data.training_data import TrainingData, read_training_data
from oodguard.training.fit.catastrophic_overfitting import (
    CatastrophicOverfittingDetector,
    roll_back,
    rollback_warning,
)
from oodguard.training.fit.distributed import describe_hardware, single_process
from oodguard.training.fit.process_errors import check_same_data, fail_together
from oodguard.training.fit.run_logs import RunLogs
from oodguard.training.fit.teacher import read_teacher
from oodguard.training.fit.trainer import StepResult, Trainer
from oodguard.training.provenance import command, libraries
from oodguard.training.run_folder import DATA, RunFolder
from oodguard.training.run_progress import Epoch, RunProgress, tensors_name
from oodguard.training.training_split import TrainingSplit, inliers_sha256, with_split
from oodguard.training.weights import InitialWeights


class FitObserver(Protocol):
    """Receives the events of a run."""

    def start(self, *, epochs: int, steps_per_epoch: int, done: int) -> None:
        """Record the start of training; `done` of the epochs are finished already."""

    def finish_step(self, epoch: int, result: StepResult) -> None:
        """Record a finished step."""

    def finish_epoch(self, epoch: Epoch) -> None:
        """Record a finished and validated epoch."""

    def warn(self, message: str) -> None:
        """Report a problem of the data or the run; training continues."""


def fit(
    run: RunFolder,
    observer: FitObserver,
    *,
    resume: bool,
    start: InitialWeights | None = None,
    fabric: Fabric | None = None,
) -> RunProgress:
    """Train the run's recipe and return the progress of the last checkpoint.

    After catastrophic overfitting the run returns to the last robust weights and continues with a
    stronger attack. `start` are the initial weights of a new run; random ones if None. With several
    processes in `fabric` each of them calls `fit`, and they train one network.

    Raises:
        OtherProcessError: Another process reports one of the errors below.
        RecipeError: The data or the teacher do not fit the recipe or are not those of process 0 or
            of the run, there is no checkpoint to resume from, the loss is not finite, or
            catastrophic overfitting persists.
        CheckpointError: A checkpoint cannot be written, or the weights to start from do not fit the
            network.
    """
    fabric = fabric or single_process()
    with fail_together(fabric):
        data = read_training_data(run.recipe, observer.warn)
        if not resume and fabric.is_global_zero:
            _record_data(run, data, observer.warn)
        teacher = read_teacher(run.recipe, data.training.classes)
        trainer = Trainer(run.recipe, data, fabric, teacher)
        progress = _initial_progress(data, trainer)
        inliers = inliers_sha256(read_data_card(run.folder / DATA), run.recipe)
        now = TrainingSplit(recipe=run.recipe, images=len(data.training), inliers=inliers)
        if teacher is not None:
            origin = with_split(
                teacher.origin, teacher.split, now, key="teacher.weights", warn=observer.warn
            )
            progress = progress.model_copy(update={"teacher": origin})
        if resume:
            progress = _resumed_progress(run.progress(), progress)
            _restore(run, trainer, progress)
        elif start is not None:
            for note in trainer.start_from(start):
                observer.warn(note)
            before = start.split
            if before and start.pretrained and before.inliers != inliers:
                before = None  # on other images, as a rule
            key = "network.weights" if start.pretrained else "--from"
            origin = with_split(start.origin, before, now, key=key, warn=observer.warn)
            progress = progress.model_copy(update={"started_from": origin})
    check_same_data(fabric, data.sha256 if teacher is None else teacher.sha256_with(data.sha256))
    return _train(run, trainer, progress, observer)


def _record_data(run: RunFolder, data: TrainingData, warn: Callable[[str], None]) -> None:
    """Complete the card of the data, if the run has one: what is left out of each source."""
    card = read_data_card(run.folder / DATA)
    if card is not None:
        found = evaluation_notes(run.recipe, data.fingerprints, warn)
        run.write_data(card.with_notes({**data.notes, **found}))


def _train(
    run: RunFolder, trainer: Trainer, progress: RunProgress, observer: FitObserver
) -> RunProgress:
    """Train the remaining epochs; record each one or roll it back.

    The first process writes the run's folder; the other processes wait until it is done. If it
    cannot, all of them end.
    """
    epochs, fabric = run.recipe.schedule.epochs, trainer.fabric
    detector = CatastrophicOverfittingDetector.from_recipe(
        run.recipe, images=trainer.validation.images
    )
    observer.start(
        epochs=epochs, steps_per_epoch=trainer.steps_per_epoch, done=len(progress.epochs)
    )
    with closing(RunLogs(run.folder, trainer.learning_rate_after)) as logs:
        with fail_together(fabric):
            if fabric.is_global_zero:
                logs.begin(progress.epochs)
        while len(progress.epochs) < epochs:
            epoch = _train_epoch(trainer, len(progress.epochs), observer)
            observer.finish_epoch(epoch)
            drop = detector.drop(progress.epochs, epoch)
            if drop is not None and drop.is_catastrophic:
                with fail_together(fabric):
                    progress = roll_back(progress, epoch, drop, run.recipe)
                    if fabric.is_global_zero:
                        run.commit(progress)
                        logs.begin(progress.epochs)
                with fail_together(fabric):
                    _restore(run, trainer, progress)
                observer.warn(rollback_warning(progress, epoch))
            else:
                progress = _add_epoch(progress, epoch, is_good=drop is None or drop.is_small)
                with fail_together(fabric):
                    if fabric.is_global_zero:
                        run.save(progress, trainer.state())
                        logs.add(epoch)
    return progress


def _train_epoch(trainer: Trainer, number: int, observer: FitObserver) -> Epoch:
    started = time.perf_counter()
    results: list[StepResult] = []
    for result in trainer.train_epoch(number):
        results.append(result)
        observer.finish_step(number, result)
    loss = _mean(result.loss for result in results)
    with fail_together(trainer.fabric):
        _check_finite(loss, trainer.state(), number)
    return_free_memory()
    trained = time.perf_counter()
    validation = trainer.validate()
    finished = time.perf_counter()
    epoch = Epoch(
        epoch=number,
        loss=loss,
        training_accuracy=_mean(result.accuracy for result in results),
        accuracy=validation.accuracy,
        attacked_accuracy=validation.attacked_accuracy,
        attacked_auroc=validation.attacked_auroc,
        duration_s=finished - started,
        validation_s=finished - trained,
    )
    return trainer.fabric.broadcast(epoch)  # the processes measure different durations


def _check_finite(loss: float, state: dict[str, Tensor], epoch: int) -> None:
    if not math.isfinite(loss):
        raise RecipeError(
            f"epoch {epoch + 1}: the loss is {loss}, expected a finite number. The last checkpoint"
            " is intact; train again with a smaller schedule.peak_rate"
        )
    if not all(tensor.isfinite().all() for tensor in state.values()):
        raise RecipeError(
            f"epoch {epoch + 1}: weights contain NaN or infinity, expected finite numbers. The"
            " last checkpoint is intact; train again with a smaller schedule.peak_rate"
        )


def _restore(run: RunFolder, trainer: Trainer, progress: RunProgress) -> None:
    """Load the weights that `progress` names, and select the attack after its rollbacks."""
    trainer.restore(run.tensors(progress))
    trainer.strengthen_attack(len(progress.rolled_back))


def _initial_progress(data: TrainingData, trainer: Trainer) -> RunProgress:
    return RunProgress(
        tensors=tensors_name(0),
        epochs=(),
        hardware=describe_hardware(trainer.fabric),
        command=command(),
        libraries=libraries(),
        training_images=len(data.training),
        outlier_images=len(data.outliers) if data.outliers else 0,
    )


def _resumed_progress(before: RunProgress, now: RunProgress) -> RunProgress:
    """Return the progress so far, with the hardware, command and data of this session."""
    if now.teacher and before.teacher and now.teacher.sha256 != before.teacher.sha256:
        raise RecipeError(
            f"teacher.weights: {now.teacher.name} has the sha256 {now.teacher.sha256[:16]}...,"
            f" expected {before.teacher.sha256[:16]}..., that of the teacher that the run started"
            " with. Restore it, or train a new run"
        )
    current = {"hardware", "command", "libraries", "training_images", "outlier_images"}
    good = len(before.epochs) if before.good is None else before.good
    # That of an older run does not record whether the splits are the same.
    is_compared = now.teacher is not None and now.teacher.same_split is not None
    teacher = now.teacher if is_compared else before.teacher
    update = {**now.model_dump(include=current), "good": good, "teacher": teacher}
    return before.model_copy(update=update)


def _add_epoch(progress: RunProgress, epoch: Epoch, *, is_good: bool) -> RunProgress:
    epochs = (*progress.epochs, epoch)
    good = len(epochs) if is_good else progress.good
    return progress.model_copy(
        update={"tensors": tensors_name(len(epochs)), "epochs": epochs, "good": good}
    )


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)
