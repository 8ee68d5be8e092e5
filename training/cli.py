"""The command line `oodguard-train`: fit, evaluate, export."""

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from training.checkpoint import RunFolder
from training.fit import fit as run_fit
from training.progress_bar import ProgressBar
from training.recipe import read_recipe

app = typer.Typer(no_args_is_help=True, add_completion=False)
console = Console()



@app.callback()
def main() -> None:
    """Train, evaluate and export guards: hardened classifiers with out-of-distribution scores."""


Threads = Annotated[int | None, typer.Option(min=1, help="Threads of torch; default: all cores.")]


@app.command()
def fit(
    recipe: Annotated[Path, typer.Argument(help="A recipe, such as recipes/cifar10-aloe.toml.")],
    out: Annotated[Path | None, typer.Option(help="The run's folder; default: runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = False,  # noqa: FBT002
    threads: Threads = None,
) -> None:
    """Train a classifier as a recipe says; a checkpoint is written after every epoch."""
    _use(threads)
    folder = out or Path("runs") / read_recipe(recipe).name
    text = recipe.read_text(encoding="utf-8")
    run = RunFolder(folder) if resume else RunFolder.create(folder, text)
    with ProgressBar(console) as bar:
        run_fit(run, bar, resume=resume)


def _use(threads: int | None) -> None:
    if threads is not None:
        torch.set_num_threads(threads)
