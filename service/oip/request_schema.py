"""What an inference request may look like, as a JSON schema for the API's description."""

from collections.abc import Mapping
from typing import Any

from service.oip import tensors
from service.oip.requests import LONGEST_ID


def _some(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A member that may also be null or absent."""
    return {"anyOf": [schema, {"type": "null"}]}


def _parameters(**known: Mapping[str, Any]) -> Mapping[str, Any]:
    return _some({"type": "object", "properties": {key: _some(of) for key, of in known.items()}})


_SIDES = [{"type": "integer", "minimum": 1}, *({"type": "integer"} for _ in "HW"), {"const": 3}]
_IMAGES: Mapping[str, Any] = {
    "type": "object",
    "required": ["name", "datatype", "shape"],
    "properties": {
        "name": {"const": tensors.NAME},
        "datatype": {"const": tensors.DATATYPE},
        "shape": {
            "type": "array",
            "description": "n, H, W, 3; height and width are the model's.",
            "prefixItems": _SIDES,
            "minItems": 4,
            "maxItems": 4,
        },
        "data": _some(
            {
                "type": "array",
                "description": "n x H x W x 3 numbers from 0 to 255, in one list or nested ones.",
            }
        ),
        "parameters": _parameters(**{tensors.SIZE: {"type": "integer", "minimum": 1}}),
    },
}
_OUTPUT: Mapping[str, Any] = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "description": "One that the model's metadata list."},
        "parameters": _parameters(binary_data={"type": "boolean"}),
    },
}
INFER_REQUEST: Mapping[str, Any] = {
    "title": "InferRequest",
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": _some({"type": "string", "maxLength": LONGEST_ID}),
        "parameters": _parameters(
            timeout={"type": "integer", "minimum": 0, "description": "Microseconds; 0: no limit."},
            binary_data_output={"type": "boolean"},
        ),
        "inputs": {"type": "array", "items": _IMAGES, "minItems": 1, "maxItems": 1},
        "outputs": _some({"type": "array", "items": _OUTPUT}),
    },
}
