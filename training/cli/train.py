"""Train a run for the command `fit`, which imports this module after it has listed the data."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from shlex import quote

import numpy as np
import typer
from lightning_fabric import Fabric

from oodguard.models.calibration import images_required
from oodguard.models.decision import Policy
from oodguard.models.errors import GuardError, RecipeError
from oodguard.models.networks.imported import is_import_string
from oodguard.models.networks.timm_network import check_timm_name, is_timm_name
from oodguard.sources.listing import Listing
from oodguard.training.cli.command import console, print_message, warn
from oodguard.training.cli.progress import ProgressBar
from oodguard.training.cli.results import write_curves
from oodguard.training.cli.sources import check_run_data, prepare_large
from oodguard.training.config.recipe import Recipe
from oodguard.training.config.recipe_sources import training_settings
from oodguard.training.data.card import describe_data
from oodguard.training.fit.distributed import launch_processes
from oodguard.training.fit.fit import fit as run_fit
from oodguard.training.fit.only_training import only_training
from oodguard.training.run_folder import DATA, PROGRESS, RECIPE, RunFolder
from oodguard.training.scoring.network import build_recipe_network
from oodguard.training.weights import InitialWeights, read_initial_weights

INTERRUPTED = 130
"""The exit status after Ctrl-C."""


def train(  # noqa: PLR0913  (by keyword)
    parsed: Recipe,
    text: str,
    listings: Mapping[str, Listing],
    *,
    out: Path | None,
    resume: bool,
    start: Path | None,
) -> None:
    """Create or resume the run of a recipe, write the card of its data, and train it."""
    if warning := calibration_warning(parsed, listings["inliers"]):
        warn(warning)
    weights = None if resume else initial_weights(parsed, start)
    if is_import_string(parsed.network.name):  # its faults are reported before images are read
        build_recipe_network(parsed, classes=len(listings["inliers"].classes))
    folder = out or Path("runs") / parsed.name
    fabric = launch_processes()
    console.quiet = not fabric.is_global_zero
    with _lock(folder, resume=resume) if fabric.is_global_zero else nullcontext():
        _train(parsed, text, listings, folder, fabric, resume=resume, weights=weights)


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
) -> None:
    created = None
    if fabric.is_global_zero and not resume:
        created = RunFolder.create(folder, text)
    fabric.barrier()
    run = RunFolder.resume(folder, text)
    if fabric.is_global_zero:
        if resume:
            check_run_data(folder / DATA, text, listings, *listings)
        else:
            card = describe_data(listings)
            settings = training_settings(text)
            run.write_data(card.model_copy(update={"settings": settings}))
        prepare_large(listings, parsed.input)
    fabric.barrier()
    bar = ProgressBar(console)
    try:
        with bar.display:
            run_fit(run, bar, resume=resume, start=weights, fabric=fabric)
    except (GuardError, KeyboardInterrupt) as error:
        if created is not None:
            created.discard()  # only if there is no checkpoint
        if isinstance(error, GuardError):
            raise
        print_message(_interrupted(run))
        raise typer.Exit(INTERRUPTED) from error
    if fabric.is_global_zero:
        write_curves(run, folder)
    print_message(f"Training is finished: {folder}. Next: oodguard-train evaluate {folder}")


def _interrupted(run: RunFolder) -> str:
    """Return the message after Ctrl-C: how the run continues."""
    if not (run.folder / PROGRESS).exists():
        return "interrupted before the first epoch was finished; there is nothing to resume"
    done = len(run.progress().epochs)
    recipe, folder = quote(str(run.folder / RECIPE)), quote(str(run.folder))
    return (
        f"interrupted after {done} {'epoch' if done == 1 else 'epochs'}. Continue with"
        f" oodguard-train fit {recipe} --out {folder} --resume"
    )


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
