"""The id by which a client and the log speak of the same request."""

import re
import uuid
from collections.abc import Mapping
from typing import Any

HEADER = "X-Request-Id"
TAKEN = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def choose(offered: bytes | None) -> str:
    """Take the client's id where it is short and plain, else make one.

    A line break or a megabyte in an id would go straight into logs and headers.
    """
    if offered is not None and TAKEN.fullmatch(offered):
        return offered.decode("ascii")
    return uuid.uuid4().hex


def request_id(scope: Mapping[str, Any]) -> str:
    """The id that `service.access` gave the request of this ASGI scope."""
    identifier: str = scope["state"]["request_id"]
    return identifier
