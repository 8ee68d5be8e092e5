"""Train a run for the command `fit`, which imports this module after it has listed the data."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from shlex import quote

import numpy as np
import typer
from lightning_fabric import Fabric

from oodguard.command_line.exit_codes import ExitCode
from oodguard.command_line.output import console, message, print_error, print_json, silence, warn
from oodguard.command_line.progress import stages
from oodguard.models.calibration import images_required
from oodguard.models.counts import count_of
from oodguard.models.decision import Policy
from oodguard.models.errors import GuardError, RecipeError
from oodguard.models.names import text_of
from oodguard.models.networks.imported import is_import_string
from oodguard.models.networks.timm_network import check_timm_name, is_timm_name
from oodguard.sources.listing import Listing
from oodguard.training.cli.processes import explain_lost_process
from oodguard.training.cli.progress import ProgressBar
from oodguard.training.cli.results import write_curves
from oodguard.training.cli.sources import check_run_data, prepare_large
from oodguard.training.config.recipe import Recipe
from oodguard.training.config.recipe_sources import training_settings
from oodguard.training.data.card import describe_data
from oodguard.training.fit.distributed import launch_processes
from oodguard.training.fit.fit import fit as run_fit
from oodguard.training.fit.only_training import only_training
from oodguard.training.fit.process_errors import fail_together
from oodguard.training.fit.teacher import read_teacher
from oodguard.training.run_folder import DATA, PROGRESS, RECIPE, RunFolder, check_resumable
from oodguard.training.run_progress import Epoch
from oodguard.training.scoring.network import build_recipe_network
from oodguard.training.weights import InitialWeights, read_initial_weights

LOW_ATTACKED_AUROC = 0.6
"""In docs/results.md, networks that were hardened with outliers have .60 or more at the epsilon of
their training, those without outliers less."""


def train(  # noqa: PLR0913  (by keyword)
    parsed: Recipe,
    text: str,
    listings: Mapping[str, Listing],
    *,
    out: Path | None,
    resume: bool,
    start: Path | None,
    as_json: bool,
) -> None:
    """Create or resume the run of a recipe, write the card of its data, and train it."""
    if warning := calibration_warning(parsed, listings["inliers"]):
        warn(warning)
    folder = out or Path("runs") / parsed.name
    resume = resume or _is_started_again(folder)
    weights = None if resume else initial_weights(parsed, start)
    if is_import_string(parsed.network.name):  # its faults are reported before images are read
        build_recipe_network(parsed, classes=len(listings["inliers"].classes))
    read_teacher(parsed, tuple(listings["inliers"].classes))  # likewise
    with ExitStack() as held:
        held.enter_context(explain_lost_process(folder / PROGRESS))
        fabric = launch_processes()
        silence(not fabric.is_global_zero)
        with fail_together(fabric):
            if fabric.is_global_zero:
                held.enter_context(_lock(folder, resume=resume))
        run = _train(parsed, text, listings, folder, fabric, resume=resume, weights=weights)
    if as_json and fabric.is_global_zero:
        progress = run.progress()
        last = progress.epochs[-1]
        print_json(
            {
                "run": text_of(folder),
                "epochs": len(progress.epochs),
                "duration_s": progress.duration_s,
                "accuracy": last.accuracy,
                "attacked_accuracy": last.attacked_accuracy,
                "attacked_auroc": last.attacked_auroc,
            }
        )


def _is_started_again(folder: Path) -> bool:
    """Return whether torchrun has replaced lost processes of a run that has a checkpoint.

    It starts all processes with the command of the first time, which has no --resume.
    """
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return restarts != "0" and (folder / PROGRESS).exists()


def _lock(folder: Path, *, resume: bool) -> AbstractContextManager[None]:
    if not resume:
        with suppress(OSError):  # reported when the run is created
            folder.mkdir(parents=True, exist_ok=True)
    return only_training(folder)


def _train(  # noqa: PLR0913  (of `train`)
    parsed: Recipe,
    text: str,
    listings: Mapping[str, Listing],
    folder: Path,
    fabric: Fabric,
    *,
    resume: bool,
    weights: InitialWeights | None,
) -> RunFolder:
    created = None
    with fail_together(fabric):
        if fabric.is_global_zero:
            if resume:
                check_resumable(folder)
            else:
                created = RunFolder.create(folder, text)
    with fail_together(fabric):
        run = RunFolder.resume(folder, text)
        if fabric.is_global_zero:
            if resume:
                check_run_data(folder / DATA, text, listings, *listings)
            else:
                with stages("reading the files of the images"):
                    card = describe_data(listings)
                settings = training_settings(text)
                run.write_data(card.model_copy(update={"settings": settings}))
            prepare_large(listings, parsed.input)
    bar = ProgressBar(console())
    try:
        with bar.display:
            run_fit(run, bar, resume=resume, start=weights, fabric=fabric)
    except (GuardError, KeyboardInterrupt) as error:
        if created is not None:
            created.discard()  # only if there is no checkpoint
        if isinstance(error, GuardError):
            raise
        if fabric.is_global_zero:
            print_error(_interrupted(run, processes=fabric.world_size))
        raise typer.Exit(ExitCode.INTERRUPTED) from error
    if fabric.is_global_zero:
        write_curves(run, folder)
        if warning := robustness_warning(parsed, run.progress().epochs[-1]):
            warn(warning)
    message(f"Training is finished: {folder}. Next: oodguard-train evaluate {folder}")
    return run


def _interrupted(run: RunFolder, *, processes: int) -> str:
    """Return the message after Ctrl-C: how the run continues."""
    if not (run.folder / PROGRESS).exists():
        return "interrupted before the first epoch was finished; there is nothing to resume"
    done = len(run.progress().epochs)
    recipe, folder = quote(str(run.folder / RECIPE)), quote(str(run.folder))
    command = f"oodguard-train fit {recipe} --out {folder} --resume"
    if processes > 1:
        command = "the same command and --resume"
    return f"interrupted after {count_of(done, 'epoch')}. Continue with {command}"


def initial_weights(recipe: Recipe, start: Path | None) -> InitialWeights | None:
    """Read the weights that a new run starts from: those of --from, or of `network.weights`.

    Raises:
        RecipeError: Both are given, timm does not have the network, or the folder is not a run's.
        CheckpointError: The weights cannot be read.
    """
    network = recipe.network
    if is_timm_name(network.name):
        check_timm_name(network.name)
    if start is not None and network.weights is not None:
        raise RecipeError(
            f"received both --from and network.weights ({network.weights}), expected at most one of"
            " them: each selects the weights that the run starts from"
        )
    if start is not None:
        return read_initial_weights(start)
    if network.weights is not None:
        return read_initial_weights(network.weights, pretrained=True, prefix=network.prefix)
    return None


def calibration_warning(recipe: Recipe, inliers: Listing | None = None) -> str | None:
    """Return a warning if the default policy needs more calibration images or groups, else None.

    The number of groups is the expected one, because the split is not drawn yet.
    """
    policy = Policy(score=recipe.default_score)
    required = images_required(policy.false_rejection_rate, policy.delta)
    if inliers is not None and inliers.groups is not None:
        groups = len(np.unique(inliers.groups))
        expected = int(groups * recipe.inliers.calibration / len(inliers))
        if expected < required:
            return (
                f"inliers.calibration is {recipe.inliers.calibration}, about {expected} of the"
                f" {groups:,} groups, expected at least {required} for alpha {policy.alpha} with"
                f" delta {policy.delta}, the default policy: images of one group count as one."
                " Increase inliers.calibration, or evaluate and serve with a larger alpha or delta"
            )
        return None
    if recipe.inliers.calibration >= required:
        return None
    return (
        f"inliers.calibration is {recipe.inliers.calibration}, expected at least {required} for"
        f" alpha {policy.alpha} with delta {policy.delta}, the default policy. Increase"
        " inliers.calibration, or evaluate and serve with a larger alpha or delta"
    )


def robustness_warning(recipe: Recipe, last: Epoch) -> str | None:
    """Return a warning if the attacked AUROC of the last epoch is near chance, else None.

    Methods without an attack or without outliers have none.
    """
    auroc, attack = last.attacked_auroc, recipe.attack
    if auroc is None or attack is None or auroc >= LOW_ATTACKED_AUROC:
        return None
    epsilon, epochs = attack.epsilon_255, recipe.schedule.epochs
    return (
        f"the attacked validation AUROC of the last epoch is {auroc:.3f}, near chance (0.5): within"
        f" {epsilon:g}/255, attacks hide unknown images from this network. Train longer"
        f" (schedule.epochs = {2 * epochs}), add inliers and outliers, start from trained weights"
        " (network.weights, or --from a hardened bundle with the same network and number of"
        f" classes), or set attack.epsilon_255 = {epsilon / 2:g}"
    )
