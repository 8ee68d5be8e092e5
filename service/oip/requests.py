"""What an inference request asks for: which images, which outputs, and how they are to come."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from reprlib import repr as short
from typing import Any

from models.manifest import InputSpec
from service.errors import WrongFields
from service.oip.fields import Json, as_object, member, parameters, parse_object
from service.oip.tensors import Shape, read_images

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
