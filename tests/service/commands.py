"""Run `oodguard` in the process of the tests."""

from typer.testing import CliRunner, Result

from oodguard.service.cli import app


def oodguard(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(
        app, [str(argument) for argument in arguments], env={"COLUMNS": "200", **environment}
    )
