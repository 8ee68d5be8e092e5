"""Reading the body of an inference request, as the pixels that POST /predict takes too."""

import re
from collections.abc import Awaitable, Callable, Collection
from typing import TypeAlias

from starlette.requests import Request

from models.manifest import InputSpec
from service.errors import MalformedBody, UnsupportedContent, WrongFields
from service.oip.errors import JSON
from service.oip.replies import BINARY, HEADER_LENGTH
from service.oip.requests import Inference, parse_inference
from service.payloads.parsers import RAW_PIXELS
from service.payloads.types import Body
from service.requests.bodies import read_bytes

WHOLE_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)

# Parsing more JSON than this takes longer than waking a thread.
QUICK_BYTES = 2**14

InThread: TypeAlias = Callable[[Callable[[], Inference]], Awaitable[Inference]]


class Intake:
    """Reads one inference request.

    Args:
        spec: The model's input.
        offered: Names of the outputs that there are.
        in_thread: Calls a function that takes its time.

    Attributes:
        inference: What was understood, once it has been read.
    """

    inference: Inference

    def __init__(self, spec: InputSpec, offered: Collection[str], in_thread: InThread) -> None:
        self._spec = spec
        self._offered = offered
        self._in_thread = in_thread

    async def read(self, request: Request, max_bytes: int, claim: Callable[[int], None]) -> Body:
        """Read the body within its limits; see `bodies.read_body`.

        Raises:
            UnsupportedContent: A content type or encoding that is not taken; nothing was read.
            BodyTooLarge: More bytes than the limit.
            MalformedBody: No JSON, or less of it than the headers say.
            WrongFields: What is not as it is wanted.
        """
        _check_type(request.headers.get("content-type", ""))
        length = _header_length(request.headers.get(HEADER_LENGTH))
        data = await read_bytes(request, max_bytes, claim)
        end = len(data) if length is None else length
        if end > len(data):
            raise MalformedBody(f"{HEADER_LENGTH} says {end} bytes of JSON; {len(data)} came")

        def parse() -> Inference:
            return parse_inference(data[:end], data[end:], self._spec, self._offered)

        self.inference = parse() if end <= QUICK_BYTES else await self._in_thread(parse)
        return Body(
            data=self.inference.pixels,
            content_type=RAW_PIXELS,
            options={},
            shape=",".join(map(str, self.inference.shape)),
            timeout_s=self.inference.timeout_s,
        )


def _check_type(header: str) -> None:
    """Take what the protocol's clients send: one of two types, or none."""
    came = header.partition(";")[0].strip().lower()
    if came not in {"", JSON, BINARY}:
        raise UnsupportedContent(
            f"content type {came[:128]!r} came; send {JSON}, or {BINARY} with {HEADER_LENGTH}"
        )


def _header_length(header: str | None) -> int | None:
    if header is None:
        return None
    if not WHOLE_NUMBER.fullmatch(header) or int(header) == 0:
        raise WrongFields(
            f"{HEADER_LENGTH} {header[:32]!r} came; the bytes of JSON are wanted, at least 1"
        )
    return int(header)
