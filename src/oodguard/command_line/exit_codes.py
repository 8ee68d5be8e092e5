"""The exit codes of both commands, and the code of each error."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

from oodguard.models.errors import (
    CalibrationError,
    DeviceError,
    GuardError,
    InvalidPolicy,
    ParityError,
)

DEBUG_VARIABLE = "OODGUARD_DEBUG"
"""With true, every command prints the traceback of an error."""


class ExitCode(IntEnum):
    """The exit code of a command; `meaning` is its row in docs/cli.md."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> "ExitCode":
        """Return the code with its meaning."""
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    OK = 0, "The command did what its help states."
    INVALID = 1, "A file, folder, image, bundle, recipe or response is invalid or unreadable."
    USAGE = 2, "A command, an option, an argument or a setting is unknown, missing or invalid."
    REFUSED = (
        3,
        "The input is valid, but the data do not support the result: too few calibration images,"
        " too large differences between two graphs, or a failed gradient-masking check.",
    )
    UNAVAILABLE = 4, "A package or a device is not available."
    UNREACHABLE = (
        5,
        "The service, or another process of a training run, cannot be reached or does not answer in"
        " time, or the service is overloaded or not ready: the same command may succeed later.",
    )
    DEFECT = 70, "An unexpected error of the program. `--debug` prints its traceback."
    INTERRUPTED = 130, "Ctrl-C."
    CLOSED_OUTPUT = 141, "The program that read standard output ended, as `head` does."


_CODES: Mapping[type[BaseException], ExitCode] = MappingProxyType(
    {
        InvalidPolicy: ExitCode.USAGE,
        CalibrationError: ExitCode.REFUSED,
        ParityError: ExitCode.REFUSED,
        DeviceError: ExitCode.UNAVAILABLE,
        ModuleNotFoundError: ExitCode.UNAVAILABLE,
        GuardError: ExitCode.INVALID,
        KeyboardInterrupt: ExitCode.INTERRUPTED,
    }
)


def code_of(error: BaseException) -> ExitCode:
    """Return the exit code of an error.

    An error of another package states its code in an attribute `exit_code`. An error that a missing
    package has caused, such as a table without pyarrow, has the code of the package.
    """
    stated = getattr(error, "exit_code", None)
    if isinstance(stated, ExitCode):
        return stated
    cause = error.__cause__
    if isinstance(cause, ModuleNotFoundError) and not is_own(cause):
        return ExitCode.UNAVAILABLE
    if isinstance(error, ModuleNotFoundError) and is_own(error):
        return ExitCode.DEFECT
    if isinstance(error, OSError) and error.strerror is not None:
        return ExitCode.INVALID
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), ExitCode.DEFECT)


def is_own(error: ModuleNotFoundError) -> bool:
    """Return whether a module of the project is missing, which is a defect of it."""
    return (error.name or "").partition(".")[0] in {"", "oodguard"}
