"""Report an error of the error tree on the command line."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from oodguard.models.errors import GuardError

FAILURE = 1


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Print a GuardError as one line on standard error and exit with status 1."""
    try:
        yield
    except GuardError as error:
        typer.echo(f"oodguard: {error}", err=True)
        raise typer.Exit(FAILURE) from None
