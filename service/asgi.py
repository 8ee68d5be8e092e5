"""The id by which a client and the log speak of the same request."""

import itertools
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first header of that name, which must be lower case, or None.

    The framework's own mapping takes three times as long to say that there is none.
    """
    for key, text in scope["headers"]:
        if key == name:
            came: bytes = text
            return came.decode("latin-1")
    return None


HEADER = b"x-request-id"

TAKEN = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def new_ids() -> Callable[[], str]:
    """Make a source of ids that no other process makes too: 32 hexadecimal digits.

    A random beginning and a number; a random id each would be a call of the system each, which
    hands the interpreter to another thread in the middle of a request.
    """
    beginning, numbers = secrets.token_hex(8), itertools.count()
    return lambda: f"{beginning}{next(numbers):016x}"


def choose(offered: str | None, new: Callable[[], str]) -> str:
    """Take the client's id where it is short and plain, else a new one.

    A line break or a megabyte in an id would go straight into logs and headers.
    """
    if offered is not None and TAKEN.fullmatch(offered):
        return offered
    return new()


def request_id(scope: Mapping[str, Any]) -> str:
    """The id that `service.http.access` gave the request of this ASGI scope."""
    identifier: str = scope["state"]["request_id"]
    return identifier
