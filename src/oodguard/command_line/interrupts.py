"""Ctrl-C: one line on standard error and the exit code 130, at every moment of a program.

Python raises KeyboardInterrupt in whatever runs. During imports, and when the interpreter ends,
that is code which prints a traceback, or which ignores the exception. There, the process ends at
once instead; nothing is open that would have to be closed. Only a command receives the exception.

This module is the first import of a program, and imports nothing that takes time.
"""

# Importing `signal` takes longer than all of this module, because it makes enumerations.
import _signal as signal  # type: ignore[import-not-found]
import os
import sys

STDERR, INTERRUPTED = 2, 130

_program = "oodguard"


def end_at_interrupt(program: str) -> None:
    """End the process at Ctrl-C, except within `RaisedInterrupts`.

    A process that ignores Ctrl-C, as those in the background of a script do, continues to.
    """
    global _program  # noqa: PLW0603 - the name of the process
    _program = program
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


class RaisedInterrupts:
    """Raises KeyboardInterrupt at Ctrl-C within a block, in a process that would end."""

    def __enter__(self) -> None:
        self._hook = sys.unraisablehook
        self._raises = signal.getsignal(signal.SIGINT) is _end
        if self._raises:
            sys.unraisablehook = self._end_if_lost
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        if self._raises:
            signal.signal(signal.SIGINT, _end)
            sys.unraisablehook = self._hook

    def _end_if_lost(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """End the process if a callback or a destructor received the exception."""
        if unraisable.exc_type is KeyboardInterrupt:
            _end()
        self._hook(unraisable)


def _end(*_: object) -> None:
    """Handle the signal."""
    try:
        os.write(STDERR, f"{_program}: interrupted\n".encode())
    finally:  # also if standard error is closed
        os._exit(INTERRUPTED)
