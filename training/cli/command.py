"""Shared parts of the commands: the console, common options and the output of errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import datasets
import torch
import typer
from rich.console import Console
from rich.markdown import Markdown

from oodguard.models.errors import GuardError

console = Console()

Threads = Annotated[
    int | None, typer.Option(min=1, help="Number of CPU threads.", show_default="all cores")
]

Alpha = Annotated[float, typer.Option(help="Upper limit of the false-rejection rate.")]
Delta = Annotated[float, typer.Option(help="Probability that the limit alpha is exceeded.")]


@contextmanager
def run_command(threads: int | None) -> Iterator[None]:
    """Set torch's threads; print an error of the project as a message and exit with status 1."""
    datasets.disable_progress_bars()  # otherwise there is one for every file
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    except GuardError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error


def print_figures(markdown: str) -> None:
    """Print figures in Markdown; a table in a narrow terminal keeps `100 %` in one line."""
    console.print(Markdown(markdown.replace(" %", "%")))  # rich breaks lines at any space


def warn(message: str) -> None:
    """Print a warning in yellow."""
    console.print(f"warning: {message}", style="yellow", markup=False, soft_wrap=True)
