"""Every command of both programs has an example, `--json` if it reports, and `--debug`."""

import pytest
import typer

from guide.references.commands import COMMANDS, Command, parse
from oodguard.command_line.program import Program

REPORTS_NOTHING = {"oodguard serve"}

every_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.name)


def test_commands_of_both_programs_are_found() -> None:
    names = {each.name for each in COMMANDS}
    assert {"oodguard keys new", "oodguard predict", "oodguard-train fit"} <= names


@every_command
def test_command_has_help_with_examples_that_parse(command: Command) -> None:
    assert command.command.help
    assert command.examples
    for line in command.examples:
        assert parse(line).startswith(command.name)


def test_example_with_an_unknown_option_does_not_parse() -> None:
    with pytest.raises(typer.TyperException, match="No such option: --jsn"):
        parse("oodguard predict --jsn photo.png")


@every_command
def test_command_that_reports_has_json(command: Command) -> None:
    assert command.has_json != (command.is_group or command.name in REPORTS_NOTHING)


@every_command
def test_command_has_debug_and_a_program_has_version(command: Command) -> None:
    context = typer.Context(command.command)
    options = {name for each in command.command.get_params(context) for name in each.opts}
    assert "--debug" in options
    is_program = isinstance(command.command, Program)
    assert is_program == ("--version" in options and "--show-completion" in options)


@every_command
def test_help_of_a_command_is_plain_and_no_wider_than_120_columns(command: Command) -> None:
    text = typer.Context(command.command, info_name=command.name).get_help()
    assert text.isascii()
    settings = text.partition("Settings are environment variables")[0]
    assert max(map(len, settings.splitlines())) <= 120
