"""The command `oodguard-train fit`."""

from pathlib import Path
from typing import Annotated

import typer

from models.errors import RecipeError
from training.before_fit import check_places, note_on_calibration
from training.checkpoint import RunFolder
from training.devices import all_processes
from training.fit import fit as run_fit
from training.progress_bar import ProgressBar
from training.recipe import read_recipe
from training.starting import read_start
from training.terminal import Threads, console, settings

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
        start = read_start(begin_with) if begin_with is not None else None
        folder = out or Path("runs") / asked.name
        text = recipe.read_text(encoding="utf-8")
        fabric = all_processes()
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
