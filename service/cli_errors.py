"""Report an error of the error tree, or a missing package, on the command line."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

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


class Commands(TyperGroup):
    """Commands that report an output that cannot be written, such as a full disk, in one line."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - of the base class
        """Run a command."""
        try:
            try:
                return super().main(*args, **kwargs)
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()
        except OSError as error:
            # An error that concerns a file has its name.
            if error.filename is not None:
                raise
            typer.echo(f"oodguard: standard output cannot be written: {error.strerror}", err=True)
            # The rest of the buffer would fail again when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(FAILURE)
