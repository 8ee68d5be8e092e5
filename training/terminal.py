"""What every command of `oodguard-train` shares: the console, its options, its way to fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import datasets
import torch
import typer
from rich.console import Console

from models.errors import GuardError

console = Console()

Threads = Annotated[int | None, typer.Option(min=1, help="Threads of torch; default: all cores.")]


@contextmanager
def settings(threads: int | None) -> Iterator[None]:
    """Set torch's threads, and print an error of ours as one clear message."""
    datasets.disable_progress_bars()  # it draws one for every file that it opens
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    except GuardError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
