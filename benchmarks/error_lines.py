"""One line in place of a traceback where a benchmark cannot use the user's files or options."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from oodguard.models.errors import GuardError


@contextmanager
def error_lines() -> Iterator[None]:
    """End the program with code 1 and one line on standard error if a file is invalid."""
    try:
        yield
    except GuardError as error:
        sys.exit(f"error: {error}")


def positive(text: str) -> int:
    """Parse an option that counts something.

    Raises:
        ArgumentTypeError: It is not a whole number of at least 1.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"received {text!r}, expected a whole number from 1 on")
    return int(text)
