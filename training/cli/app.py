"""The commands of `oodguard-train`. Each is imported when it is used, because torch is slow."""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperGroup

COMMAND_NAMES = ("fit", "evaluate", "export", "runs", "wrap", "quantize", "attack")

COMMANDS: Mapping[str, str] = MappingProxyType(
    {name: f"oodguard.training.cli.{name}" for name in COMMAND_NAMES}
)
"""The module of each command, which has a function of its name."""


class LazyCommands(TyperGroup):
    """A group of commands whose modules are imported on demand."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002  (typer's own click)
        """Return the names of the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002
        """Import a command; return None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        single = typer.Typer(add_completion=False)
        single.command(cmd_name)(getattr(importlib.import_module(COMMANDS[cmd_name]), cmd_name))
        return typer.main.get_command(single)


app = typer.Typer(cls=LazyCommands, no_args_is_help=True, add_completion=False)


@app.callback()
def main() -> None:
    """Train, evaluate and export guards: hardened classifiers with out-of-distribution scores."""
