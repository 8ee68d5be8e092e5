"""The command `oodguard-train fit`."""

from pathlib import Path
from typing import Annotated

import typer

from oodguard.models.calibration import rejection_rank
from oodguard.models.decision import Policy
from oodguard.models.errors import CalibrationError, RecipeError
from oodguard.training.cli.progress import ProgressBar, Threads, console, settings
from oodguard.training.config.recipe import Recipe, evaluation_sources, read_recipe
from oodguard.training.fit.distributed import launch_processes
from oodguard.training.fit.fit import fit as run_fit
from oodguard.training.run_folder import RunFolder
from oodguard.training.weights import read_initial_weights


def check_places(recipe: Recipe) -> None:
    """Look whether every folder and file of a recipe is there, those of the evaluation as well.

    Raises:
        RecipeError: naming the keys and what is not there.
    """
    test, outliers = evaluation_sources(recipe)
    sources = {
        "inliers": recipe.inliers,
        "outliers": recipe.outliers,
        "evaluation.test": test,
        **{f"evaluation.outliers.{name}": source for name, source in outliers.items()},
    }
    places = {key: s.folder or s.parquet for key, s in sources.items() if s is not None}
    missing = [f"  {key}: {place}" for key, place in places.items() if place and not place.exists()]
    if missing:
        raise RecipeError(
            "the recipe names what is not there (paths count from the folder that the command"
            " runs in):\n" + "\n".join(missing)
        )


def note_on_calibration(recipe: Recipe) -> str | None:
    """Return what `evaluate` will say of too few calibration images at its default policy."""
    policy = Policy(score=recipe.default_score)
    try:
        rejection_rank(recipe.inliers.calibration, alpha=policy.alpha, delta=policy.delta)
    except CalibrationError as error:
        return f"inliers.calibration: {error}"
    return None


START_HELP = "Begin with the weights of this run, or of a .safetensors file."


def fit(
    recipe: Annotated[Path, typer.Argument(help="A recipe, such as recipes/cifar10-aloe.toml.")],
    out: Annotated[Path | None, typer.Option(help="The run's folder; default: runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last epoch.")] = False,
    begin_with: Annotated[Path | None, typer.Option("--from", help=START_HELP)] = None,
    threads: Threads = None,
) -> None:
    """Train a classifier as a recipe says; a checkpoint is written after every epoch."""
    with settings(threads):
        if resume and begin_with is not None:
            raise RecipeError("came --resume and --from: a run goes on, or begins; wanted one")
        asked = read_recipe(recipe)  # before anything is written
        check_places(asked)
        if note := note_on_calibration(asked):
            console.print(f"note: {note}", style="yellow", markup=False, soft_wrap=True)
        start = read_initial_weights(begin_with) if begin_with is not None else None
        folder = out or Path("runs") / asked.name
        text = recipe.read_text(encoding="utf-8")
        fabric = launch_processes()
        console.quiet = not fabric.is_global_zero
        if fabric.is_global_zero and not resume:
            RunFolder.create(folder, text)
        fabric.barrier()
        run = RunFolder.resume(folder, text)
        with ProgressBar(console) as bar:
            run_fit(run, bar, resume=resume, start=start, fabric=fabric)
        console.print(
            f"{folder} is trained; next: oodguard-train evaluate {folder}", soft_wrap=True
        )
