"""A program with commands: errors without a traceback, exit codes, `--debug` and `--version`."""

import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from oodguard.command_line import output
from oodguard.command_line.errors import (
    open_closed_streams,
    report,
    report_output,
    unwritable_output,
)
from oodguard.command_line.exit_codes import DEBUG_VARIABLE, ExitCode
from oodguard.command_line.interrupts import RaisedInterrupts
from oodguard.models.names import escape_unencodable_output


def examples(*lines: str) -> str:
    """Return the end of a command's help; click does not re-wrap a paragraph after a backspace."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class Program(TyperGroup):
    """The commands of the program `name`, which needs the extra `extra` to be installed."""

    extra = "cpu"

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - of typer
        """Return the options of the program itself."""
        return [*super().get_params(ctx), *_params_of(_version_option), *_params_of(_debug_option)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - of typer
        """Return a command, which has the option `--debug` too, or None."""
        command = super().get_command(ctx, cmd_name)
        return None if command is None else with_debug(command)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,  # noqa: ARG002 - the name is part of every message
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002 - of the base class
        windows_expand_args: bool = True,  # noqa: ARG002 - of the base class
        **extra: Any,  # noqa: ANN401 - of the base class
    ) -> Any:  # noqa: ANN401 - of the base class
        """Run a command, and exit with the code of its outcome."""
        program = self.name or "oodguard"
        output.start(program)
        self._main_shell_completion(extra, program, complete_var)
        open_closed_streams()
        escape_unencodable_output()
        words = sys.argv[1:] if args is None else list(args)
        try:
            with RaisedInterrupts():
                code = self._run(program, words, extra)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the boundary
            failed = unwritable_output(error)
            code = report(error, self.extra) if failed is None else report_output(failed)
        else:
            if (failed := unwritable_output()) is not None:
                code = report_output(failed)
        sys.exit(code)

    def _run(self, program: str, words: list[str], extra: dict[str, Any]) -> int:
        try:
            with self.make_context(program, words, **extra) as context:
                self.invoke(context)
        except typer.Exit as ended:
            return ended.exit_code
        except typer.TyperException as error:
            return _usage_error(error)
        return ExitCode.OK


def with_debug(command: Any) -> Any:  # noqa: ANN401 - of typer
    """Add `--debug` to a command and to its sub-commands, once."""
    if not any("--debug" in each.opts for each in command.params):
        command.params += _params_of(_debug_option)
    for each in getattr(command, "commands", {}).values():
        with_debug(each)
    return command


def _usage_error(error: typer.TyperException) -> ExitCode:
    text = error.format_message()
    context = getattr(error, "ctx", None)
    if context is not None and text == context.get_help():  # no command was given
        typer.echo(text, err=True)
        return ExitCode.USAGE
    see = f" See {context.command_path} --help" if context is not None else ""
    output.print_error(f"{text if text.endswith(('.', '?')) else f'{text}.'}{see}")
    return ExitCode.USAGE


def _use_debug(value: bool) -> None:
    output.run.debug = output.run.debug or value


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"OOD Guard {installed_version()}, Python {platform.python_version()}")
        raise typer.Exit


def installed_version() -> str:
    """Return the version of the installed distribution."""
    try:
        return version("ood-guard")
    except PackageNotFoundError:
        return "0+unknown"


def _debug_option(
    _debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            envvar=DEBUG_VARIABLE,
            help="Print the traceback of an error.",
            callback=_use_debug,
            expose_value=False,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Declare the option of every command."""


def _version_option(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            callback=_print_version,
            expose_value=False,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Declare the option of a program."""


def _params_of(function: Any) -> list[Any]:  # noqa: ANN401 - of typer
    """Return the parameters that typer makes of a function's annotations."""
    single = typer.Typer(add_completion=False)
    single.command()(function)
    return list(typer.main.get_command(single).params)
