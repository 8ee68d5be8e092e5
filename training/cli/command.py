"""Shared parts of the commands: common options, and what several of them print."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.markdown import Markdown

from oodguard.command_line.output import PIPE_WIDTH, console, message, warn
from oodguard.models.bundle import CALIBRATION, MODEL, Bundle, open_bundle
from oodguard.models.errors import BundleError, ClassifierError
from oodguard.models.manifest import BundleName
from oodguard.models.names import text_of
from oodguard.models.records import BundleVersion
from oodguard.models.validation_errors import describe_error
from oodguard.sources.source_options import source_options

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

Group = Annotated[
    str | None,
    typer.Option(
        help="Groups of near-duplicates in --data, such as films: a column of a table; for a"
        " folder 'folder', 'name:PATTERN' or 'FILE:COLUMN'."
    ),
]

GroupAcrossClasses = Annotated[
    bool,
    typer.Option(
        "--group-across-classes",
        help="Images of all classes with one value are one group, such as a film that shows"
        " several classes.",
    ),
]

Name = Annotated[
    str | None, typer.Option(help="Name of the bundle.", show_default="the folder's name")
]


@contextmanager
def run_command(threads: int | None, *, options: Sequence[str] = ()) -> Iterator[None]:
    """Set torch's threads.

    `options` are the keys of sources that the command has options for, which errors name.
    """
    if threads is not None:
        import torch  # noqa: PLC0415  (slow)

        torch.set_num_threads(threads)
    with source_options(options):
        yield


def bundle_json(folder: Path) -> dict[str, object]:
    """Return the folder of a bundle that was written, and its identity."""
    bundle = open_bundle(folder)
    names = {"name": bundle.manifest.name, "version": bundle.manifest.version}
    return {"folder": text_of(folder), "model": {**names, "sha256": bundle.sha256}}


@contextmanager
def replacement(out: Path, *, remedy: str = "--version") -> Iterator[None]:
    """State after the context which bundle in `out` was replaced, if there was one.

    It is a warning if the new bundle has its name and version, but other contents: services and
    logs distinguish bundles by these. `remedy` is what sets the version.
    """
    before = _bundle_in(out)
    yield
    after = _bundle_in(out)
    if before is None or after is None or before.sha256 == after.sha256:
        return
    old, new = before.manifest, after.manifest
    text = f"{out}: replaced the bundle {old.name} {old.version}, sha256 {before.sha256[:12]}"
    if (old.name, old.version) == (new.name, new.version) and _content(before) != _content(after):
        warn(
            f"{text}. The new one has the same name and version, but other contents: give another"
            f" version with {remedy} if the older one is in use"
        )
    else:
        message(f"{text}.")


def _bundle_in(folder: Path) -> Bundle | None:
    try:
        return open_bundle(folder)
    except BundleError:  # there is none, or it is damaged
        return None


def _content(bundle: Bundle) -> tuple[object, ...]:
    """Return what decides about an image: not the date, the figures and the card."""
    manifest = bundle.manifest
    files = tuple(manifest.files[name].sha256 for name in (MODEL, CALIBRATION))
    return (*files, manifest.default_score, manifest.classes, manifest.input)


def print_figures(markdown: str) -> None:
    """Print figures in Markdown; a narrow terminal keeps `100 %` and `.5 / 100 %` in one line.

    Without a terminal, the lines are as wide as their content.
    """
    lines = markdown.split("\n")  # rich breaks the lines of a cell at any space
    joined = (
        line.replace(" %", "%").replace(" / ", "/") if line.startswith("|") else line
        for line in lines
    )
    text, shown = Markdown("\n".join(joined)), console()
    if shown.is_terminal:
        shown.print(text)
        return
    wide = Console(file=StringIO(), width=PIPE_WIDTH, emoji=False)
    with wide.capture() as rendered:
        wide.print(text)
    for line in rendered.get().splitlines():
        message(line.rstrip())


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
