"""The messages of the protocol: models that validate requests and describe responses.

Source: Open Inference Protocol, v2, with the extension binary_tensor_data.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from oodguard.service.api.problems import JSON
from oodguard.service.api.schemas import REQUEST_HEADERS

HEADER_LENGTH = "Inference-Header-Content-Length"

BINARY = "application/octet-stream"

MAX_ID_LENGTH = 256

# More than any model has; it bounds the number of validation errors.
MAX_OUTPUTS = 16


class _RequestModel(BaseModel):
    """A part of a request. Members that the service does not use are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class InputParameters(_RequestModel):
    """Parameters of the input tensor."""

    binary_data_size: Annotated[StrictInt, Field(ge=1)] | None = None
    shared_memory_region: None = Field(default=None, description="Not supported.")


class InputTensor(_RequestModel):
    """The tensor `images`; height and width are the model's."""

    name: Literal["images"]
    datatype: Literal["UINT8"]
    shape: tuple[Annotated[StrictInt, Field(ge=1)], StrictInt, StrictInt, Literal[3]] = Field(
        description="n, H, W, 3."
    )
    data: list[Any] | None = Field(
        default=None,
        description="n x H x W x 3 numbers from 0 to 255, as one array or as nested arrays.",
    )
    parameters: InputParameters | None = None


class OutputParameters(_RequestModel):
    """Parameters of a requested output."""

    binary_data: StrictBool | None = None
    classification: None = Field(default=None, description="Not supported.")
    shared_memory_region: None = Field(default=None, description="Not supported.")


class RequestedOutput(_RequestModel):
    """An output by its name in the model's metadata."""

    name: str
    parameters: OutputParameters | None = None


class InferParameters(_RequestModel):
    """Parameters of a request."""

    timeout: Annotated[StrictInt, Field(ge=0)] | None = Field(
        default=None, description="Microseconds; 0: no timeout."
    )
    binary_data_output: StrictBool | None = None


class InferRequest(_RequestModel):
    """The JSON of an inference request."""

    id: Annotated[str, Field(max_length=MAX_ID_LENGTH)] | None = None
    parameters: InferParameters | None = None
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=1)]
    outputs: Annotated[list[RequestedOutput], Field(max_length=MAX_OUTPUTS)] | None = None


Parameter = str | bool | int | float

Datatype = Literal["BOOL", "BYTES", "FP32", "FP64", "INT64", "UINT8"]


class _ResponseModel(BaseModel):
    # The protocol's names begin with `model_`.
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class OipError(_ResponseModel):
    """An error: the received and the expected value, and the request id."""

    error: str


class Live(_ResponseModel):
    """Liveness of the process."""

    live: bool


class Ready(_ResponseModel):
    """Readiness of the service for traffic."""

    ready: bool


class ModelReady(Ready):
    """Readiness of a model for traffic."""

    name: str


class ServerMetadata(_ResponseModel):
    """The server, and the extensions of the protocol that it supports."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(_ResponseModel):
    """An input or output tensor; a dimension of -1 is free."""

    name: str
    datatype: Datatype
    shape: list[int]


class ModelMetadata(_ResponseModel):
    """The versions of a model, newest first, and the tensors of the requested version."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class OutputTensor(TensorMetadata):
    """An output; with `binary_data_size` its bytes follow the JSON, and it has no data.

    A number is null where the model returned NaN or infinity.
    """

    data: list[float | int | bool | str | None] | None = None
    parameters: dict[str, Parameter] | None = None


class InferResponse(_ResponseModel):
    """The outputs. `parameters` has the bundle's sha256 and the policy."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: dict[str, Parameter]
    outputs: list[OutputTensor]


def inline_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a model, with its definitions in place of the references to them.

    An OpenAPI description resolves references from its root, where these definitions are not.
    """
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def inline(value: Any) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(value, list):
            return [inline(each) for each in value]
        if not isinstance(value, dict):
            return value
        if reference := value.get("$ref"):
            return inline(definitions[reference.rpartition("/")[2]])
        return {key: inline(each) for key, each in value.items()}

    inlined: dict[str, Any] = inline(schema)
    return inlined


_BYTES = {"schema": {"type": "string", "format": "binary"}}

_LENGTH = {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}

REQUEST_BODY: Mapping[str, Any] = {
    "required": True,
    "description": "JSON, or JSON followed by the bytes of the tensor.",
    "content": {JSON: {"schema": inline_schema(InferRequest)}, BINARY: _BYTES},
}

HEADERS: Sequence[Mapping[str, Any]] = (
    {
        "name": HEADER_LENGTH,
        "in": "header",
        "required": False,
        "description": "Length of the JSON in bytes, if bytes follow it.",
        "schema": _LENGTH,
    },
    *(header for header in REQUEST_HEADERS if header["name"] != "X-Shape"),
)

RESPONSE: Mapping[str, Any] = {
    "description": "The outputs, as JSON or as JSON followed by their bytes.",
    "content": {BINARY: _BYTES},
    "model": InferResponse,
    "headers": {HEADER_LENGTH: {"schema": _LENGTH}},
}


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the descriptions of the protocol's errors by status."""
    return {status: {"description": "An error", "model": OipError} for status in statuses}
