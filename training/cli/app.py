"""The commands of `oodguard-train`. Each is imported when it is used, because torch is slow."""

import importlib
import sys
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any

import typer

from oodguard.command_line.program import Program, examples, with_debug
from oodguard.command_line.progress import stages

COMMAND_NAMES = ("fit", "evaluate", "export", "runs", "wrap", "quantize", "attack")

COMMANDS: Mapping[str, str] = MappingProxyType(
    {name: f"oodguard.training.cli.{name}" for name in COMMAND_NAMES}
)
"""The module of each command, which has a function of its name, and the examples of its help."""


class LazyCommands(Program):
    """A program whose modules are imported on demand."""

    extra = "training"

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002  (typer's own click)
        """Return the names of the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401
        """Import a command; return None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module = _loaded(COMMANDS[cmd_name], quiet=ctx is not None and ctx.resilient_parsing)
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        epilog = examples(*module.EXAMPLES)
        single.command(cmd_name, epilog=epilog)(getattr(module, cmd_name))
        return with_debug(typer.main.get_command(single))


def _loaded(name: str, *, quiet: bool) -> ModuleType:
    """Import a module, and show that torch is loaded, which takes seconds, or half a minute.

    `quiet`: nothing is shown, because a shell completes a line.
    """
    if quiet or name in sys.modules:
        return importlib.import_module(name)
    with stages("loading torch"):
        return importlib.import_module(name)


app = typer.Typer(
    name="oodguard-train",
    cls=LazyCommands,
    help="Train, evaluate and export guards: hardened classifiers with out-of-distribution scores.",
    epilog=examples(
        "oodguard-train fit recipes/smoke.toml",
        "oodguard-train evaluate runs/smoke",
        "oodguard-train export runs/smoke --out smoke",
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 120},
)


@app.callback()
def main() -> None:
    """Declare a program with commands; typer has no other way without one."""
