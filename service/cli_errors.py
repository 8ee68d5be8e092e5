"""An error of the tree on the command line: one line and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from oodguard.models.errors import GuardError

REFUSED = 1


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn an error of the tree into one line on standard error and an exit code."""
    try:
        yield
    except GuardError as error:
        typer.echo(f"oodguard: {error}", err=True)
        raise typer.Exit(REFUSED) from None
