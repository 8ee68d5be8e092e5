"""Report an error of the error tree, or a missing package, on the command line."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from oodguard.models.errors import GuardError, install_hint

FAILURE = 1

NEWLINE = "\n"


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Print a GuardError or a missing package as one line on stderr and exit with status 1."""
    try:
        yield
    except GuardError as error:
        typer.echo(f"oodguard: {printable(str(error), keep=NEWLINE)}", err=True)
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


def printable(text: str, *, keep: str = "") -> str:
    """Return a text with its control characters escaped, except those to keep.

    A name in a file may contain the control characters of a terminal.
    """
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode()
        for char in text
    )
