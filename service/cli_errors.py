"""Report an error of the error tree, or a missing package, on the command line."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from oodguard.models.errors import GuardError, install_hint
from oodguard.models.names import escape_control_characters

FAILURE = 1

NEWLINE = "\n"


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Print a GuardError or a missing package as one line on stderr and exit with status 1."""
    try:
        yield
    except GuardError as error:
        typer.echo(f"oodguard: {escape_control_characters(str(error), keep=NEWLINE)}", err=True)
        raise typer.Exit(FAILURE) from None
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in {"", "oodguard"}:  # a defect of the project
            raise
        typer.echo(
            f'oodguard: {package} is not installed. {install_hint("cpu")}, or the "gpu" extra',
            err=True,
        )
        raise typer.Exit(FAILURE) from None
