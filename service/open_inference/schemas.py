"""What the service says in the protocol, for the API's description and for tests."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from oodguard.service.api.problems import JSON
from oodguard.service.api.schemas import PATH_PARAMETERS, REQUEST_HEADERS
from oodguard.service.open_inference import request as tensors
from oodguard.service.open_inference.request import LONGEST_ID
from oodguard.service.open_inference.response import BINARY, HEADER_LENGTH


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

Parameter = str | bool | int | float

Datatype = Literal["BOOL", "BYTES", "FP32", "FP64", "INT64", "UINT8"]


class _Told(BaseModel):
    # The protocol's own names begin with `model_`.
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class OipError(_Told):
    """What went wrong: what came, what was wanted, and the request's id."""

    error: str


class Live(_Told):
    """The process is alive."""

    live: bool


class Ready(_Told):
    """The service wants traffic."""

    ready: bool


class ModelReady(Ready):
    """The model can be asked."""

    name: str


class ServerMetadata(_Told):
    """Which server this is, and which extensions of the protocol it speaks."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(_Told):
    """A tensor that is taken or told; a dimension of -1 is free."""

    name: str
    datatype: Datatype
    shape: list[int]


class ModelMetadata(_Told):
    """A model's versions, the newest first, and the tensors of the one that was asked for."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class OutputTensor(TensorMetadata):
    """An output; its bytes come behind the JSON where it has `binary_data_size` and no data.

    A number is null where the model gave NaN or infinity.
    """

    data: list[float | int | bool | str | None] | None = None
    parameters: dict[str, Parameter] | None = None


class InferResponse(_Told):
    """What was found. `parameters` say by which bundle and under which policy."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: dict[str, Parameter]
    outputs: list[OutputTensor]


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
