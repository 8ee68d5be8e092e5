"""The command `oodguard-train fit`."""

from pathlib import Path
from typing import Annotated

import typer

from oodguard.models.calibration import images_required
from oodguard.models.decision import Policy
from oodguard.models.errors import RecipeError
from oodguard.models.networks.timm_network import check_timm_name, is_timm_name
from oodguard.training.cli.command import Threads, console, print_message, run_command, warn
from oodguard.training.cli.progress import ProgressBar
from oodguard.training.config.recipe import (
    Recipe,
    evaluation_sources,
    parse_recipe,
    read_recipe_text,
)
from oodguard.training.fit.distributed import launch_processes
from oodguard.training.fit.fit import fit as run_fit
from oodguard.training.run_folder import RunFolder
from oodguard.training.weights import InitialWeights, read_initial_weights

START_HELP = "Start from the weights of this run, or of this .safetensors file."


def fit(
    recipe: Annotated[Path, typer.Argument(help="A recipe, such as recipes/cifar10-aloe.toml.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run.", show_default="runs/NAME")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue after the last finished epoch.")
    ] = False,
    start: Annotated[Path | None, typer.Option("--from", help=START_HELP)] = None,
    threads: Threads = None,
) -> None:
    """Train a classifier from a recipe, with a checkpoint after every epoch."""
    with run_command(threads):
        if resume and start is not None:
            raise RecipeError(
                "received both --resume and --from, expected at most one of them: --resume"
                " continues a run, --from starts a new one"
            )
        text = read_recipe_text(recipe)
        parsed = parse_recipe(text, origin=str(recipe))
        check_paths(parsed)
        if warning := calibration_warning(parsed):
            warn(warning)
        weights = None if resume else initial_weights(parsed, start)
        folder = out or Path("runs") / parsed.name
        fabric = launch_processes()
        console.quiet = not fabric.is_global_zero
        if fabric.is_global_zero and not resume:
            RunFolder.create(folder, text)
        fabric.barrier()
        run = RunFolder.resume(folder, text)
        bar = ProgressBar(console)
        with bar.display:
            run_fit(run, bar, resume=resume, start=weights, fabric=fabric)
        print_message(f"Training is finished: {folder}. Next: oodguard-train evaluate {folder}")


def initial_weights(recipe: Recipe, start: Path | None) -> InitialWeights | None:
    """Read the weights that a new run starts from: those of --from, or of `network.weights`.

    Raises:
        RecipeError: there are both, timm does not have the network, or the folder is not a run's.
        CheckpointError: the weights cannot be read.
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


def check_paths(recipe: Recipe) -> None:
    """Check that every folder and file of a recipe exists, including those of the evaluation.

    Raises:
        RecipeError: the error lists each key whose path does not exist.
    """
    test, outliers = evaluation_sources(recipe)
    sources = {
        "inliers": recipe.inliers,
        "outliers": recipe.outliers,
        "evaluation.test": test,
        **{f"evaluation.outliers.{name}": source for name, source in outliers.items()},
    }
    paths = {key: s.folder or s.parquet for key, s in sources.items() if s is not None}
    missing = [f"  {key}: {path}" for key, path in paths.items() if path and not path.exists()]
    if missing:
        raise RecipeError(
            "The recipe contains paths that do not exist (relative paths start from the current"
            " folder):\n" + "\n".join(missing)
        )


def calibration_warning(recipe: Recipe) -> str | None:
    """Return a warning if the default policy needs more calibration images, else None."""
    policy = Policy(score=recipe.default_score)
    required = images_required(policy.alpha, policy.delta)
    if recipe.inliers.calibration >= required:
        return None
    return (
        f"inliers.calibration is {recipe.inliers.calibration}, expected at least {required} for"
        f" alpha {policy.alpha} with delta {policy.delta}, the default policy. Increase"
        " inliers.calibration, or evaluate and serve with a larger alpha or delta"
    )
