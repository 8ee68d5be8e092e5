"""Parse and validate an inference request: its JSON, its tensor and its requested outputs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import chain
from math import prod
from reprlib import repr as short
from typing import Any, TypeAlias

import orjson
from pydantic import ValidationError

from oodguard.models.manifest import InputSpec
from oodguard.models.validation_errors import describe_error, describe_json_error
from oodguard.service.errors import MalformedBody, WrongFields
from oodguard.service.json_text import require_ascii
from oodguard.service.open_inference.schemas import InferRequest, InputTensor

# The numbers and arrays of 64 images of 32 x 32 pixels as nested arrays, or of one of 224 x 224.
# Parsing them takes some 30 ms, in which no other thread runs, and 20 MB.
MAX_JSON_VALUES = 270_000

# A request has one input, the requested outputs, and the parameters of each. An object takes ten
# times the memory and time of a number: 180,000 of them took 60 MB and 100 ms.
MAX_JSON_OBJECTS = 1000

MICROSECONDS = 1_000_000

Shape: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inference:
    """A valid inference request.

    Attributes:
        id: The client's id, which the response repeats.
        outputs: The requested outputs in order, and whether each is binary.
        timeout_s: The client's timeout.
        shape: `(n, H, W, 3)`.
        pixels: The bytes of the images in row-major order.
    """

    id: str | None
    outputs: Mapping[str, bool]
    timeout_s: float | None
    shape: Shape
    pixels: bytes


def parse_inference(
    text: bytes, binary: bytes, spec: InputSpec, available: Collection[str]
) -> Inference:
    """Parse and validate the JSON of a request for `available` outputs, and the bytes after it.

    Raises:
        MalformedBody: Not JSON.
        WrongFields: The request is invalid.
    """
    require_ascii(text)
    _check_value_count(text)
    try:
        request = InferRequest.model_validate(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        cause = describe_json_error(text, error)
        raise MalformedBody(f"the request is not valid JSON: {cause}") from error
    except ValidationError as error:
        raise WrongFields(_describe(error)) from error
    (tensor,) = request.inputs
    parameters = request.parameters
    return Inference(
        id=request.id,
        outputs=_requested_outputs(request, available),
        # Triton's parameter; 0 means no timeout.
        timeout_s=parameters.timeout / MICROSECONDS if parameters and parameters.timeout else None,
        shape=tensor.shape,
        # A search in the text is ten times as fast as a look at the type of every number.
        pixels=_pixels(tensor, binary, spec, booleans=b"true" in text or b"false" in text),
    )


def _check_value_count(text: bytes) -> None:
    if text.count(b"{") > MAX_JSON_OBJECTS:
        raise WrongFields(
            f"the JSON has {text.count(b'{')} objects, expected at most {MAX_JSON_OBJECTS}"
        )
    # Every value but the first follows one of these three characters. Counting allocates nothing.
    if len(text) > MAX_JSON_VALUES:
        values = sum(text.count(character) for character in (b",", b"[", b"{"))
        if values > MAX_JSON_VALUES:
            raise WrongFields(
                f"the JSON has {values} values and arrays, expected at most {MAX_JSON_VALUES}:"
                " send the tensor as binary data"
            )


def _describe(error: ValidationError) -> str:
    """Describe the first error: the field, its received and its expected value."""
    first = error.errors(include_url=False)[0]
    unsupported = ", because the service does not support it"
    name = None if first["loc"] else "the request"
    return describe_error(first, name) + unsupported * (first["type"] == "none_required")


def _pixels(tensor: InputTensor, binary: bytes, spec: InputSpec, *, booleans: bool) -> bytes:
    shape = tensor.shape
    if shape[1:3] != (spec.height, spec.width):
        raise WrongFields(
            f"inputs[0].shape is {list(shape)}, expected [n, {spec.height}, {spec.width}, 3]"
        )
    size = tensor.parameters.binary_data_size if tensor.parameters else None
    if (size is None) == (tensor.data is None):
        received = "neither" if size is None else "both"
        raise WrongFields(
            f"inputs[0] has {received}, expected either data or parameters.binary_data_size"
        )
    if tensor.data is None:
        if not size == len(binary) == prod(shape):
            raise WrongFields(
                f"{len(binary)} bytes follow the JSON and binary_data_size is {size},"
                f" expected {prod(shape)} for the shape {list(shape)}"
            )
        return binary
    if binary:
        raise WrongFields(f"{len(binary)} bytes follow the JSON, expected 0 with inputs[0].data")
    return flatten(tensor.data, shape, booleans=booleans)


def flatten(data: list[Any], shape: Shape, *, booleans: bool = True) -> bytes:
    """Convert numbers, in one array or in arrays nested by the shape, to bytes.

    Args:
        data: The numbers.
        shape: `(n, H, W, 3)`.
        booleans: Whether there may be booleans among them, which `bytes` takes for 0 and 1.

    Raises:
        WrongFields: Another number or nesting, or values other than whole numbers from 0 to 255.
    """
    nested = bool(data) and type(data[0]) is list
    rows: list[Any] = [data]
    for length in shape if nested else (prod(shape),):
        if not all(type(row) is list and len(row) == length for row in rows):
            raise WrongFields(
                f"inputs[0].data is {short(data)}, expected {prod(shape)} numbers in one array,"
                f" or arrays nested by the shape {list(shape)}"
            )
        rows = list(chain.from_iterable(rows))
    try:
        if not booleans or set(map(type, rows)) <= {int}:
            return bytes(rows)
    except (TypeError, ValueError):
        pass
    value = next(each for each in rows if not (type(each) is int and 0 <= each <= 255))
    shown = str(value).lower() if isinstance(value, bool) else short(value)
    raise WrongFields(f"inputs[0].data has the value {shown}, expected whole numbers from 0 to 255")


def _requested_outputs(request: InferRequest, available: Collection[str]) -> Mapping[str, bool]:
    """Return the requested outputs, or all, and whether each is binary."""
    binary_default = bool(request.parameters and request.parameters.binary_data_output)
    if not request.outputs:
        return dict.fromkeys(available, binary_default)
    outputs: dict[str, bool] = {}
    for index, output in enumerate(request.outputs):
        if output.name not in available:
            raise WrongFields(
                f"outputs[{index}].name is {short(output.name)},"
                f" expected one of: {', '.join(available)}"
            )
        if output.name in outputs:
            raise WrongFields(f"outputs has {output.name} twice, expected each output once")
        binary = output.parameters.binary_data if output.parameters else None
        outputs[output.name] = binary_default if binary is None else binary
    return outputs
