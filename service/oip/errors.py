"""The one shape in which the protocol's clients read what went wrong."""

import orjson
from starlette.responses import Response

ROOT = "/v2"
JSON = "application/json"


def is_spoken(path: str) -> bool:
    """Whether who asks for a path speaks the protocol."""
    return path == ROOT or path.startswith(f"{ROOT}/")


def error(status: int, detail: str, identifier: str, headers: dict[str, str]) -> Response:
    """Answer with an error.

    Args:
        status: The HTTP status.
        detail: What came and what was wanted.
        identifier: The request's id, put behind it: clients of the protocol hide headers.
        headers: Further headers.
    """
    body = {"error": f"{detail} (request {identifier})"}
    return Response(orjson.dumps(body), status, headers, JSON)
