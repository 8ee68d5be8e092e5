"""Request headers and request ids of an ASGI scope."""

import itertools
import re
import secrets
from collections.abc import Callable

from starlette.types import Scope

REQUEST_ID_HEADER = b"x-request-id"

_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first header with a lower-case name, or None.

    Three times as fast as starlette's `Headers` for a header that is absent.
    """
    for key, value in scope["headers"]:
        if key == name:
            raw: bytes = value
            return raw.decode("latin-1")
    return None


def request_id_source() -> Callable[[], str]:
    """Make a function that returns unique ids of 32 hexadecimal digits.

    An id is a random prefix for the process and a counter. A random id for every request would be
    a system call for every request, which releases the interpreter lock in the middle of it.
    """
    prefix, counter = secrets.token_hex(8), itertools.count()
    return lambda: f"{prefix}{next(counter):016x}"


def valid_request_id(received: str | None, new_id: Callable[[], str]) -> str:
    """Return the client's id if it is 1 to 64 letters, digits, `.`, `_` or `-`, else a new one.

    The id is written to logs and headers, where line breaks or a megabyte would do harm.
    """
    if received is not None and _VALID_ID.fullmatch(received):
        return received
    return new_id()
