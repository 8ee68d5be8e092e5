"""Run `oodguard calibrate` in tests."""

from typer.testing import CliRunner, Result

from oodguard.command_line.exit_codes import ExitCode
from oodguard.service.cli import app

N = 90
"""The pictures."""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def message(result: Result) -> str:
    """Return the error of a command that failed."""
    assert result.exit_code in {ExitCode.INVALID, ExitCode.REFUSED}
    return result.stderr
