"""Errors of a command: their text on standard error, and the exit code."""

import errno
import os
import select
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from oodguard.command_line.entry import missing_package
from oodguard.command_line.exit_codes import ExitCode, code_of
from oodguard.command_line.output import print_error, run
from oodguard.models.errors import GuardError


def report(error: BaseException, extra: str) -> ExitCode:
    """Print an error, with its traceback if the command is debugged, and return its exit code.

    `extra` is the extra that has the packages of the program.
    """
    if run.debug:
        traceback.print_exception(error)
    error = _interrupt_of(error) or error
    code = code_of(error)
    print_error(_text(error, extra, code))
    return code


def _interrupt_of(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the interrupt that caused an error: C extensions raise ImportError at Ctrl-C."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


def _text(error: BaseException, extra: str, code: ExitCode) -> str:
    match error:
        case GuardError():
            return str(error)
        case ModuleNotFoundError(name=str() as name) if code is ExitCode.UNAVAILABLE:
            return missing_package(name, extra)
        case OSError(filename=None, strerror=str()) if code is not ExitCode.DEFECT:
            return f"a file cannot be read or written: {error.strerror}"
        case OSError() if code is not ExitCode.DEFECT:
            return (
                f"{error.filename}: cannot be read or written: {error.strerror}. Check the path,"
                " its permissions and the free disk space"
            )
    if code is ExitCode.INTERRUPTED:
        return ". ".join(["interrupted", *map(str, error.args)])
    return (
        f"unexpected {type(error).__name__}: {error}. This is a defect of OOD Guard: run the"
        " command again with --debug, and report the traceback"
    )


def open_closed_streams() -> None:
    """Open the streams with which the command was not started, as by `>&-`.

    Writes to standard output fail as those to a full disk do: Python would discard them. Writes to
    standard error are discarded.
    """
    if sys.stdout is None:
        # The system does not write to a file that is open for reading.
        descriptor = os.open(os.devnull, os.O_RDONLY)
        sys.stdout = os.fdopen(descriptor, "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def unwritable_output(error: BaseException | None = None) -> OSError | None:
    """Write what is left of standard output; return the error if it cannot be written.

    `error` has ended the command. It is returned if standard output was its cause.
    """
    failed = error if isinstance(error, OSError) and _is_of_output(error) else None
    try:
        sys.stdout.flush()
    except OSError as unwritten:
        failed = unwritten
    if failed is not None:
        # The rest of the buffer would fail again when the interpreter ends.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return failed


def _is_of_output(error: OSError) -> bool:
    """Return whether an error is that of a pipe without a reader, or of a full disk.

    An error of a file has its name. A socket breaks like a pipe, but standard output still works.
    """
    if error.filename is not None or error.errno != errno.EPIPE:
        return error.filename is None and error.errno == errno.ENOSPC
    try:
        poll = select.poll()
        poll.register(sys.stdout, 0)
        return bool(poll.poll(0))
    except (OSError, AttributeError):  # no file, or no `poll` on this system
        return True


def report_output(error: OSError) -> ExitCode:
    """Print that standard output cannot be written, unless its reader has ended."""
    if error.errno == errno.EPIPE:
        return ExitCode.CLOSED_OUTPUT
    print_error(f"standard output cannot be written: {error.strerror}")
    return ExitCode.INVALID
