"""All commands of `oodguard` and `oodguard-train`, with the examples of their help."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from oodguard.service.cli import app as service
from oodguard.training.cli.app import app as training


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command, or a group of them, and the words that call it."""

    words: tuple[str, ...]
    command: Any

    @property
    def name(self) -> str:
        """The words in one text."""
        return " ".join(self.words)

    @property
    def is_group(self) -> bool:
        """Whether it has sub-commands."""
        return hasattr(self.command, "list_commands")

    @property
    def examples(self) -> list[str]:
        """The examples of its help."""
        lines = (self.command.epilog or "").partition("Examples:\n")[2].partition("\n\n")[0]
        return [line.strip() for line in lines.splitlines()]

    @property
    def has_json(self) -> bool:
        """Whether it has the option `--json`."""
        return any("--json" in each.opts for each in self.command.params)


PROGRAMS = {"oodguard": service, "oodguard-train": training}


def _root(program: str) -> Any:  # noqa: ANN401 - of typer
    return typer.main.get_command(PROGRAMS[program])


def _walk(words: tuple[str, ...], command: Any) -> Iterator[Command]:  # noqa: ANN401 - of typer
    yield Command(words=words, command=command)
    if hasattr(command, "list_commands"):
        for name in command.list_commands(None):
            yield from _walk((*words, name), command.get_command(None, name))


COMMANDS = [each for program in PROGRAMS for each in _walk((program,), _root(program))]


def parse(line: str) -> str:
    """Parse a command line without running it; return the name of the command."""
    program, *words = shlex.split(line)
    context = _root(program).make_context(program, words)
    while hasattr(context.command, "get_command"):
        rest = [*context._protected_args, *context.args]
        name, command, words = context.command.resolve_command(context, rest)
        context = command.make_context(name, words, parent=context)
    return str(context.command_path)
