"""The command `oodguard-train fit`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from oodguard.models.errors import RecipeError
from oodguard.training.cli.command import Threads, console, run_command
from oodguard.training.cli.sources import list_recipe
from oodguard.training.config.recipe_sources import read_recipe_text, recipe_tables

START_HELP = "Start from the weights of this run, bundle or .safetensors file."


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
    console.quiet = os.environ.get("RANK", "0") != "0"  # torchrun's number of the process
    with run_command(None):
        if resume and start is not None:
            raise RecipeError(
                "received both --resume and --from, expected at most one of them: --resume"
                " continues a run, --from starts a new one"
            )
        text = read_recipe_text(recipe)
        recipe_tables(text, origin=str(recipe))  # raises an error that names the file
        listings = list_recipe(text)
    with run_command(threads):
        # A wrong path is reported before torch is loaded, which takes seconds.
        from oodguard.training.cli.train import train  # noqa: PLC0415
        from oodguard.training.config.recipe import parse_recipe  # noqa: PLC0415

        parsed = parse_recipe(text, origin=str(recipe))
        train(parsed, text, listings, out=out, resume=resume, start=start)
