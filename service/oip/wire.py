"""How the API's description tells of an inference request, which is read without FastAPI."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.oip.errors import JSON
from service.oip.replies import BINARY, HEADER_LENGTH
from service.oip.request_schema import INFER_REQUEST
from service.oip.schemas import InferResponse, OipError
from service.routes.wire import PATH_PARAMETERS, REQUEST_HEADERS

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_LENGTH = {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}

REQUEST_BODY: Mapping[str, Any] = {
    "required": True,
    "description": "JSON, or JSON with the tensor's bytes behind it.",
    "content": {JSON: {"schema": INFER_REQUEST}, BINARY: _BYTES},
}

HEADERS: Sequence[Mapping[str, Any]] = (
    {
        "name": HEADER_LENGTH,
        "in": "header",
        "required": False,
        "description": "How many bytes of the body are JSON; all of them where it is left out.",
        "schema": _LENGTH,
    },
    *(header for header in REQUEST_HEADERS if header["name"] == "X-Timeout-Ms"),
)

ANSWER: Mapping[str, Any] = {
    "description": "What was found, as JSON or with the outputs' bytes behind it.",
    "content": {BINARY: _BYTES},
    "model": InferResponse,
    "headers": {HEADER_LENGTH: {"schema": _LENGTH}},
}


def parameters(path: str) -> list[Mapping[str, Any]]:
    """The parameters of a path, as its pattern names them."""
    return [each for each in PATH_PARAMETERS if f"{{{each['name']}}}" in path]


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The protocol's errors of so many statuses."""
    return {status: {"description": "An error", "model": OipError} for status in statuses}
