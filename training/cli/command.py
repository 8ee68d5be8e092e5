"""Shared parts of the commands: the console, common options and the output of errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from oodguard.models.errors import GuardError
from oodguard.models.names import escape_unencodable_output
from oodguard.training.report.markdown import escape_control_characters

console = Console()

Threads = Annotated[
    int | None, typer.Option(min=1, help="Number of CPU threads.", show_default="all cores")
]

Alpha = Annotated[float, typer.Option(help="Upper limit of the false-rejection rate.")]
Delta = Annotated[float, typer.Option(help="Probability that the limit alpha is exceeded.")]


@contextmanager
def run_command(threads: int | None) -> Iterator[None]:
    """Set torch's threads; print an error of the project as a message and exit with status 1.

    An error of the operating system, such as an unreadable file, is printed as a message too.
    """
    escape_unencodable_output()
    if threads is not None:
        import torch  # noqa: PLC0415  (slow)

        torch.set_num_threads(threads)
    try:
        yield
    except GuardError as error:
        _print_error(str(error))
        raise typer.Exit(1) from error
    except OSError as error:
        if error.strerror is None or isinstance(error, BrokenPipeError):  # typer handles the latter
            raise
        _print_error(
            f"{error.filename or 'a file'}: cannot be read or written: {error.strerror}. Check the"
            " path, its permissions and the free disk space"
        )
        raise typer.Exit(1) from error


def print_message(message: str) -> None:
    """Print a line; control characters, as in names of files, are escaped."""
    console.print(_printable(message), markup=False, highlight=False, soft_wrap=True)


def print_figures(markdown: str) -> None:
    """Print figures in Markdown; a table in a narrow terminal keeps `100 %` in one line."""
    lines = markdown.split("\n")  # rich breaks the lines of a cell at any space
    joined = (line.replace(" %", "%") if line.startswith("|") else line for line in lines)
    console.print(Markdown("\n".join(joined)))


def warn(message: str) -> None:
    """Print a warning in yellow."""
    console.print(_printable(f"warning: {message}"), style="yellow", markup=False, soft_wrap=True)


def _print_error(message: str) -> None:
    text = _printable(f"error: {message}")
    Console(stderr=True).print(text, style="red", markup=False, soft_wrap=True)


def _printable(message: str) -> str:
    return "\n".join(map(escape_control_characters, message.split("\n")))
