"""The input tensor of a request to the bytes of its pixels."""

from itertools import chain
from math import prod
from reprlib import repr as short
from typing import Any, TypeAlias

from models.manifest import InputSpec
from service.errors import WrongFields
from service.oip.fields import Json, member, parameters

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
