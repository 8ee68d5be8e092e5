"""The entry point of a program, which can report that packages are missing.

It imports no other package, and what takes time only when Ctrl-C ends the process in one line.
"""

import sys

from oodguard.command_line.interrupts import end_at_interrupt
from oodguard.models.errors import install_hint


def run_program(module: str, *, program: str, extra: str) -> None:
    """Run the `app` of a module, or exit if a package that the module imports is not installed."""
    end_at_interrupt(program)
    from importlib import import_module  # noqa: PLC0415

    from oodguard.command_line.exit_codes import ExitCode, is_own  # noqa: PLC0415

    try:
        app = import_module(module).app
    except ModuleNotFoundError as error:
        if is_own(error):
            raise
        print(f"{program}: {missing_package(error.name or '', extra)}", file=sys.stderr)  # noqa: T201
        sys.exit(ExitCode.UNAVAILABLE)
    app()


def missing_package(name: str, extra: str) -> str:
    """Return the message for a package that is not installed."""
    other = ', or the "gpu" extra' if extra == "cpu" else ""
    return f"{name.partition('.')[0]} is not installed. {install_hint(extra)}{other}"
