"""How the API's description tells of a request to /predict, which is read without FastAPI."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.routes.schemas import JsonImages

_IMAGE = {"schema": {"type": "string", "format": "binary"}}
_FILES = {"type": "array", "minItems": 1, "items": _IMAGE["schema"]}

REQUEST_BODY: Mapping[str, Any] = {
    "required": True,
    "description": "One image or many, in one of four ways.",
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {"files": _FILES},
                "additionalProperties": False,
            },
            "encoding": {"files": {"contentType": "image/jpeg, image/png, image/webp"}},
        },
        "application/json": {"schema": JsonImages.model_json_schema()},
        "image/jpeg": _IMAGE,
        "image/png": _IMAGE,
        "image/webp": _IMAGE,
        "application/octet-stream": _IMAGE,
    },
}

REQUEST_HEADERS: Sequence[Mapping[str, Any]] = (
    {
        "name": "X-Shape",
        "in": "header",
        "required": False,
        "description": "n,H,W,3 of raw RGB pixels; wanted with application/octet-stream.",
        "schema": {"type": "string", "examples": ["1,32,32,3"]},
    },
    {
        "name": "X-Timeout-Ms",
        "in": "header",
        "required": False,
        "description": "Milliseconds until the request is given up, if less than the service's.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    },
)

PATH_PARAMETERS: Sequence[Mapping[str, Any]] = tuple(
    {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    for name in ("name", "version")
)
