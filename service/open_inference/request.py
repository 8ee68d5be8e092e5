"""What an inference request asks for: which images, which outputs, and how they are to come."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from reprlib import repr as short
from typing import Any, TypeAlias, TypeVar

import orjson

from oodguard.models.manifest import InputSpec
from oodguard.service.errors import MalformedBody, WrongFields

Json: TypeAlias = Mapping[str, Any]

T = TypeVar("T")

NAMES: Mapping[type, str] = {
    bool: "boolean",
    dict: "object",
    float: "fraction",
    int: "whole number",
    list: "list",
    str: "string",
    type(None): "null",
}

# As many as 64 images of 32 x 32 pixels have as nested lists, or one of 224 x 224. To parse them
# takes some 30 ms, in which no other thread runs, and 20 MB.
MOST_MARKS = 270_000


def parse_object(text: bytes, whole: str) -> Json:
    """Parse a JSON object, given that its values are not too many to be parsed.

    Args:
        text: The JSON.
        whole: What it is, for errors.

    Raises:
        MalformedBody: Not JSON.
        WrongFields: No object, or one of too many values.
    """
    # Every value but the first stands behind one of three marks. Counting allocates nothing.
    marks = sum(text.count(mark) for mark in (b",", b"[", b"{")) if len(text) > MOST_MARKS else 0
    if marks > MOST_MARKS:
        raise WrongFields(
            f"a JSON of {marks} values and lists came; at most {MOST_MARKS} are read; send the"
            " tensor as binary data"
        )
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"{whole} is not JSON: {error}") from error
    return as_object(value, whole)


def as_object(value: object, whole: str) -> Json:
    """Take a value for an object.

    Raises:
        WrongFields: It is none.
    """
    if not isinstance(value, dict):
        raise WrongFields(f"{whole} is a {NAMES[type(value)]}; an object is wanted")
    return value


def member(holder: Json, name: str, kind: type[T], whole: str) -> T | None:
    """The member of an object, or None where it is absent or null.

    Args:
        holder: The object.
        name: The member's name.
        kind: Its type; true is no whole number.
        whole: What the object is, for errors.

    Raises:
        WrongFields: It has another type.
    """
    value = holder.get(name)
    if value is None or type(value) is kind:
        return value
    raise WrongFields(f"{name!r} of {whole} is a {NAMES[type(value)]}; a {NAMES[kind]} is wanted")


def parameters(holder: Json, whole: str) -> Json:
    """The member `parameters` of an object; empty where it is absent or null.

    Raises:
        WrongFields: It is no object.
    """
    return member(holder, "parameters", dict, whole) or {}


NAME = "images"

DATATYPE = "UINT8"

CHANNELS = 3

SIZE = "binary_data_size"

Shape: TypeAlias = tuple[int, int, int, int]


def read_images(tensor: Json, binary: bytes, spec: InputSpec) -> tuple[Shape, bytes]:
    """Read the tensor `images`, UINT8 (n, H, W, 3) of the model's size.

    Args:
        tensor: How the request describes it, with its data or without.
        binary: The bytes behind the JSON.
        spec: The model's input.

    Returns:
        Its shape, and its bytes in row-major order.

    Raises:
        WrongFields: Another tensor, or data that do not fit what is said of them.
    """
    _check_kind(tensor)
    shape = _shape(tensor, spec)
    said = parameters(tensor, NAME)
    if "shared_memory_region" in said:
        raise WrongFields("shared memory came; the service takes tensors in the body alone")
    size, data = member(said, SIZE, int, NAME), member(tensor, "data", list, NAME)
    if (size is None) == (data is None):
        raise WrongFields(f"{NAME} has either 'data' or the parameter {SIZE!r}, and not both")
    if data is None:
        _check_size(size, binary, shape)
        return shape, binary
    if binary:
        raise WrongFields(f"{len(binary)} bytes came behind the JSON; {NAME} has its data in it")
    return shape, flattened(data, shape)


def flattened(data: list[Any], shape: Shape) -> bytes:
    """Bring numbers in one list, or in lists nested as the shape says, to bytes.

    Raises:
        WrongFields: They are more, fewer or nested otherwise, or one is no whole number to 255.
    """
    nested = bool(data) and type(data[0]) is list
    rows: list[Any] = [data]
    for length in shape if nested else (prod(shape),):
        if not all(type(row) is list and len(row) == length for row in rows):
            raise WrongFields(
                f"'data' of {NAME} is neither {prod(shape)} numbers in one list nor lists nested"
                f" as its shape {list(shape)} says"
            )
        rows = list(chain.from_iterable(rows))
    try:
        return bytes(rows)
    except (TypeError, ValueError) as error:
        raise WrongFields(f"'data' of {NAME} holds whole numbers from 0 to 255: {error}") from error


def _check_kind(tensor: Json) -> None:
    name = member(tensor, "name", str, "an input")
    datatype = member(tensor, "datatype", str, "an input")
    if (name, datatype) != (NAME, DATATYPE):
        raise WrongFields(
            f"the input {short(name)} of datatype {short(datatype)} came; {NAME!r} of"
            f" {DATATYPE!r} is wanted"
        )


def _shape(tensor: Json, spec: InputSpec) -> Shape:
    came = member(tensor, "shape", list, NAME) or []
    height, width = spec.height, spec.width
    whole = all(type(side) is int for side in came)
    if not whole or came[1:] != [height, width, CHANNELS] or came[0] < 1:
        raise WrongFields(
            f"{NAME} came with shape {short(came)}; [n, {height}, {width}, {CHANNELS}] with at"
            " least one image is wanted"
        )
    return came[0], height, width, CHANNELS


def _check_size(size: int | None, binary: bytes, shape: Shape) -> None:
    if not size == len(binary) == prod(shape):
        raise WrongFields(
            f"{len(binary)} bytes came behind the JSON; {SIZE!r} says {size}, and shape"
            f" {list(shape)} wants {prod(shape)}"
        )


WHOLE = "the request"

LONGEST_ID = 256

MICROSECONDS = 1_000_000

REFUSED: Mapping[str, str] = {
    "classification": "no classifications are told; ask for the outputs label and class_id",
    "shared_memory_region": "no shared memory is written; outputs come in the body alone",
}
"""Parameters of a requested output that would change the answer, and why they are refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Requested:
    """An output that is asked for, behind the JSON or in it."""

    name: str
    binary: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Inference:
    """An inference request that has been understood.

    Attributes:
        id: The client's own, for its answer.
        outputs: What it asks for, in its order.
        timeout_s: How long it is willing to wait, if it says so.
        shape: `(n, H, W, 3)`.
        pixels: The images' bytes in row-major order.
    """

    id: str | None
    outputs: Sequence[Requested]
    timeout_s: float | None
    shape: Shape
    pixels: bytes


def parse_inference(
    text: bytes, binary: bytes, spec: InputSpec, offered: Collection[str]
) -> Inference:
    """Understand an inference request.

    What the protocol or its extensions know and the service has no use for is ignored.

    Args:
        text: Its JSON.
        binary: The bytes behind it.
        spec: The model's input.
        offered: Names of the outputs that there are.

    Raises:
        MalformedBody: No JSON.
        WrongFields: What is not as it is wanted.
    """
    request = parse_object(text, WHOLE)
    inputs = member(request, "inputs", list, WHOLE) or []
    if len(inputs) != 1:
        raise WrongFields(f"{len(inputs)} inputs came; one is wanted, 'images'")
    shape, pixels = read_images(as_object(inputs[0], "the input"), binary, spec)
    return Inference(
        id=_id(request),
        outputs=_outputs(request, offered),
        timeout_s=_timeout_s(request),
        shape=shape,
        pixels=pixels,
    )


def _id(request: Json) -> str | None:
    identifier = member(request, "id", str, WHOLE)
    if identifier is not None and len(identifier) > LONGEST_ID:
        raise WrongFields(f"an id of {len(identifier)} characters came; {LONGEST_ID} are taken")
    return identifier


def _timeout_s(request: Json) -> float | None:
    """Triton's parameter, in microseconds; 0 means none."""
    timeout = member(parameters(request, WHOLE), "timeout", int, WHOLE)
    if timeout is not None and timeout < 0:
        raise WrongFields(f"a timeout of {timeout} came; microseconds from 0 on are wanted")
    return timeout / MICROSECONDS if timeout else None


def _outputs(request: Json, offered: Collection[str]) -> Sequence[Requested]:
    all_binary = member(parameters(request, WHOLE), "binary_data_output", bool, WHOLE) or False
    asked = member(request, "outputs", list, WHOLE)
    if not asked:
        return [Requested(name=name, binary=all_binary) for name in offered]
    if len(asked) > len(offered):
        raise WrongFields(f"{len(asked)} outputs are asked for; there are {', '.join(offered)}")
    found = [_output(each, offered, all_binary=all_binary) for each in asked]
    if len({each.name for each in found}) < len(found):
        raise WrongFields("an output is asked for twice; ask for each at most once")
    return found


def _output(value: Any, offered: Collection[str], *, all_binary: bool) -> Requested:  # noqa: ANN401
    output = as_object(value, "a requested output")
    name = member(output, "name", str, "a requested output")
    if name is None or name not in offered:
        raise WrongFields(f"the output {short(name)} is asked for; there are {', '.join(offered)}")
    said = parameters(output, name)
    for parameter, why in REFUSED.items():
        if said.get(parameter) is not None:
            raise WrongFields(f"{parameter!r} of {name} came; {why}")
    binary = member(said, "binary_data", bool, name)
    return Requested(name=name, binary=all_binary if binary is None else binary)
