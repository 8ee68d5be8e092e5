"""One line in place of a traceback where a benchmark cannot use the user's files or options."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from oodguard.models.errors import GuardError


@contextmanager
def error_lines() -> Iterator[None]:
    """End the program with code 1 and one line on standard error if a file is invalid."""
    try:
        yield
    except GuardError as error:
        sys.exit(f"error: {error}")


def at_least(limit: int) -> Callable[[str], int]:
    """Return the parser of an option that is a whole number from `limit` on.

    The parser raises ArgumentTypeError for any other text.
    """

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < limit:
            raise argparse.ArgumentTypeError(
                f"received {text!r}, expected a whole number from {limit} on"
            )
        return int(text)

    return parse


positive = at_least(1)
"""Parse an option that counts something."""
