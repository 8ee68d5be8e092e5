"""The command `oodguard-train fit`."""

from pathlib import Path
from typing import Annotated

import typer

from oodguard.command_line.output import json_option, silence
from oodguard.command_line.progress import stages
from oodguard.models.errors import RecipeError
from oodguard.training.cli.command import Threads, run_command
from oodguard.training.cli.processes import is_first_process, report_once
from oodguard.training.cli.sources import list_recipe
from oodguard.training.config.recipe_sources import read_recipe_text, recipe_tables

START_HELP = "Start from the weights of this run, bundle or .safetensors file."

EXAMPLES = (
    "oodguard-train fit recipes/smoke.toml",
    "oodguard-train fit recipes/cifar10-aloe.toml --out runs/mine --resume",
)


def fit(  # noqa: PLR0913  (each parameter is an option of the command)
    recipe: Annotated[Path, typer.Argument(help="A recipe, such as recipes/cifar10-aloe.toml.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run.", show_default="runs/NAME")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue after the last finished epoch.")
    ] = False,
    start: Annotated[Path | None, typer.Option("--from", help=START_HELP)] = None,
    threads: Threads = None,
    as_json: Annotated[
        bool,
        json_option(
            "run", "epochs", "duration_s", "accuracy", "attacked_accuracy", "attacked_auroc"
        ),
    ] = False,
) -> None:
    """Train a classifier from a recipe, with a checkpoint after every epoch."""
    silence(not is_first_process())
    with report_once(), run_command(None):
        if resume and start is not None:
            raise RecipeError(
                "received both --resume and --from, expected at most one of them: --resume"
                " continues a run, --from starts a new one"
            )
        text = read_recipe_text(recipe)
        recipe_tables(text, origin=str(recipe))  # raises an error that names the file
        listings = list_recipe(text)
    # A wrong path is reported before torch is loaded, which takes seconds.
    with report_once(), stages("loading torch"):
        from oodguard.training.cli.train import train  # noqa: PLC0415
        from oodguard.training.config.recipe import parse_recipe  # noqa: PLC0415
    with report_once(), run_command(threads):
        parsed = parse_recipe(text, origin=str(recipe))
        train(parsed, text, listings, out=out, resume=resume, start=start, as_json=as_json)
