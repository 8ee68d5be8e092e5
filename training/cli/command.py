"""Shared parts of the commands: the console, common options and the output of errors."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.markdown import Markdown

from oodguard.models.errors import ClassifierError, GuardError
from oodguard.models.manifest import BundleName
from oodguard.models.names import escape_control_characters, escape_unencodable_output
from oodguard.models.records import BundleVersion
from oodguard.models.validation_errors import describe_error
from oodguard.sources.source_options import source_options

console = Console(emoji=False)

Threads = Annotated[
    int | None, typer.Option(min=1, help="Number of CPU threads.", show_default="all cores")
]

_NAME = TypeAdapter(BundleName)
_VERSION = TypeAdapter(BundleVersion)

Alpha = Annotated[float, typer.Option(help="Upper limit of the false-rejection rate.")]
Delta = Annotated[float, typer.Option(help="Probability that the limit alpha is exceeded.")]

SkipBroken = Annotated[
    bool, typer.Option("--skip-broken", help="Leave out images that cannot be read.")
]

Name = Annotated[
    str | None, typer.Option(help="Name of the bundle.", show_default="the folder's name")
]


@contextmanager
def run_command(threads: int | None, *, options: Sequence[str] = ()) -> Iterator[None]:
    """Set torch's threads; print an error of the project as a message and exit with status 1.

    An error of the operating system, such as an unreadable file, is printed as a message too.
    `options` are the keys of sources that the command has options for, which errors name.
    """
    escape_unencodable_output()
    if threads is not None:
        import torch  # noqa: PLC0415  (slow)

        torch.set_num_threads(threads)
    try:
        with source_options(options):
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
    """Print figures in Markdown; a narrow terminal keeps `100 %` and `.5 / 100 %` in one line."""
    lines = markdown.split("\n")  # rich breaks the lines of a cell at any space
    joined = (
        line.replace(" %", "%").replace(" / ", "/") if line.startswith("|") else line
        for line in lines
    )
    console.print(Markdown("\n".join(joined)))


def warn(message: str) -> None:
    """Print a warning in yellow."""
    console.print(_printable(f"warning: {message}"), style="yellow", markup=False, soft_wrap=True)


def _print_error(message: str) -> None:
    text = _printable(f"error: {message}")
    Console(stderr=True, emoji=False).print(text, style="red", markup=False, soft_wrap=True)


def _printable(message: str) -> str:
    return escape_control_characters(message, keep="\n")


def bundle_name(name: str | None, out: Path) -> str:
    """Return the checked name of a bundle; None: the name of its folder `out`.

    Raises:
        ClassifierError: The name is invalid.
    """
    if name is None:
        return _checked(_NAME, out.name, "--name is not given, and the name of --out")
    return _checked(_NAME, name, "--name")


def bundle_version(version: str) -> str:
    """Return the checked version of a bundle.

    Raises:
        ClassifierError: The version is invalid.
    """
    return _checked(_VERSION, version, "--version")


def _checked(kind: TypeAdapter[str], text: str, option: str) -> str:
    try:
        return kind.validate_python(text)
    except ValidationError as error:
        raise ClassifierError(describe_error(error.errors()[0], option)) from error
