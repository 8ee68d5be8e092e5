"""The output of a command: messages and results on standard output, all others on standard error.

With `--json`, standard output is one JSON document, and messages go to standard error too.
"""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import typer

from oodguard.models.names import escape_control_characters

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 1000
"""The largest width of a table where the output is no terminal: names remain in one line."""


_END_SPACES = re.compile(r" +$", re.MULTILINE)


@dataclass(kw_only=True, slots=True)
class Run:
    """The command that runs: its program, its options for output, and whether it is debugged."""

    program: str = "oodguard"
    json_keys: tuple[str, ...] | None = None
    debug: bool = False
    quiet: bool = False


run = Run()
"""The state of this process, which runs one command."""


def start(program: str) -> None:
    """Start a command with the options' defaults."""
    run.program, run.json_keys, run.debug = program, None, False
    silence(False)


def silence(quiet: bool) -> None:
    """Print no messages and warnings, as in all but one of several processes."""
    run.quiet = quiet


def json_option(*keys: str) -> Any:  # noqa: ANN401 - as typer.Option
    """Return the option `--json` of a command that prints objects with these keys.

    `print_json` accepts no others, so that the help states what the command prints.
    """

    def use(value: bool) -> bool:
        if value:
            run.json_keys = keys
        return value

    return typer.Option(
        "--json",
        callback=use,
        help=f"Print JSON alone on standard output, with the keys {', '.join(keys)}.",
        show_default=False,
    )


def print_json(content: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Print one JSON document: an object, or an array of objects, with the keys of `--json`.

    The output is ASCII, so that any terminal and any pipe takes it. A number that is not finite is
    null.

    Raises:
        KeyError: An object has other keys than the help states.
    """
    from pydantic_core import to_json  # noqa: PLC0415 - help is quick

    for each in [content] if isinstance(content, Mapping) else content:
        if run.json_keys is not None and tuple(each) != run.json_keys:
            raise KeyError(f"the keys are {', '.join(each)}, expected {', '.join(run.json_keys)}")
    plain = json.loads(to_json(content, inf_nan_mode="null", fallback=_plain))
    typer.echo(json.dumps(plain, indent=2))


def _plain(value: object) -> object:
    """Return a value of a type that JSON does not have: a mapping, a number of NumPy or a text."""
    if isinstance(value, Mapping):
        return dict(value)
    item = getattr(value, "item", None)
    return str(value) if item is None else item()


def error_console() -> "Console":
    """Return the console of standard error, for progress, warnings and errors."""
    found = _console(stderr=True, terminal=_may_be_terminal())
    found.quiet = False
    return found


def console() -> "Console":
    """Return the console of messages: standard output, or standard error with `--json`."""
    found = _console(stderr=run.json_keys is not None, terminal=_may_be_terminal())
    found.quiet = run.quiet
    return found


def table_console() -> "Console":
    """Return a console for tables.

    Where the output is no terminal, tables are not folded, and no line ends with spaces: rich pads
    all lines to the longest, such as that of a hundred classes.
    """
    from rich.console import Console  # noqa: PLC0415 - help is quick

    class Unpadded(Console):
        def print(self, *objects: Any, **options: Any) -> None:  # noqa: ANN401 - of rich
            with self.capture() as printed:
                super().print(*objects, **options)
            self.file.write(_END_SPACES.sub("", printed.get()))

    found = Console(emoji=False, force_terminal=_may_be_terminal())
    if found.file.isatty():
        return found
    return Unpadded(emoji=False, force_terminal=_may_be_terminal(), width=PIPE_WIDTH)


def message(text: str) -> None:
    """Print a line; control characters, as in names of files, are escaped."""
    console().print(printable(text), markup=False, highlight=False, soft_wrap=True)


def warn(text: str) -> None:
    """Print a warning on standard error."""
    if not run.quiet:
        print_notice(f"warning: {text}", "yellow")


def print_error(text: str) -> None:
    """Print an error on standard error."""
    print_notice(text, "red")


def printable(text: str) -> str:
    """Return a text with all control characters escaped, except line feeds."""
    return escape_control_characters(text, keep="\n")


def print_notice(text: str, style: str = "") -> None:
    """Print a line on standard error that begins with the name of the program."""
    if sys.stderr is None:
        return
    line = printable(f"{run.program}: {text}")
    error_console().print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def _may_be_terminal() -> Literal[False] | None:
    """Return False if NO_COLOR is set, else None: whether the output is a terminal decides.

    Without it, rich would keep bold text and bars, which need other control characters.
    """
    return False if os.environ.get("NO_COLOR") else None


@cache
def _console(*, stderr: bool, terminal: Literal[False] | None) -> "Console":
    from rich.console import Console  # noqa: PLC0415 - help is quick

    return Console(stderr=stderr, emoji=False, force_terminal=terminal)
