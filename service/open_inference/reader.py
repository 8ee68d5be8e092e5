"""Read the body of an inference request: JSON, or JSON followed by the bytes of the tensor."""

import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import TypeAlias

from starlette.requests import Request

from oodguard.models.manifest import InputSpec
from oodguard.service.api.problems import JSON
from oodguard.service.errors import MalformedBody, UnsupportedContent, WrongFields
from oodguard.service.images.body import RAW_PIXELS, BodyObserver, read_bytes
from oodguard.service.images.types import Body
from oodguard.service.open_inference.request import Inference, parse_inference
from oodguard.service.open_inference.schemas import BINARY, HEADER_LENGTH

# Parsing a longer JSON takes more time than waking a thread.
MAX_INLINE_BYTES = 2**14

WHOLE_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)

RunInThread: TypeAlias = Callable[[Callable[[], Inference]], Awaitable[Inference]]


@dataclass
class InferenceReader:
    """Read one inference request, for `Predictor.predict`.

    Attributes:
        spec: The model's input.
        outputs: Names of the model's outputs.
        run_in_thread: Calls a slow function in a thread.
        inference: The request, once it has been read.
    """

    spec: InputSpec
    outputs: Collection[str]
    run_in_thread: RunInThread
    inference: Inference = field(init=False)

    async def read(self, request: Request, max_bytes: int, observer: BodyObserver) -> Body:
        """Read the body within its limits; see `images.body.read_body`.

        Raises:
            UnsupportedContent: Another content type or encoding; nothing was read.
            BodyTooLarge: More bytes than the limit.
            MalformedBody: Not JSON, or less of it than the headers declare.
            WrongFields: The request is invalid.
        """
        _check_content_type(request.headers.get("content-type", ""))
        length = _header_length(request.headers.get(HEADER_LENGTH))
        data = await read_bytes(request, max_bytes, observer)
        end = len(data) if length is None else length
        if end > len(data):
            raise MalformedBody(
                f"{HEADER_LENGTH} is {end}, expected at most the {len(data)} bytes of the body"
            )

        def parse() -> Inference:
            return parse_inference(data[:end], data[end:], self.spec, self.outputs)

        self.inference = parse() if end <= MAX_INLINE_BYTES else await self.run_in_thread(parse)
        return Body(
            data=self.inference.pixels,
            content_type=RAW_PIXELS,
            options={},
            shape=",".join(map(str, self.inference.shape)),
            timeout_s=self.inference.timeout_s,
        )


def _check_content_type(header: str) -> None:
    """Accept the types that clients of the protocol send, or none."""
    received = header.partition(";")[0].strip().lower()
    if received not in {"", JSON, BINARY}:
        raise UnsupportedContent(
            f'Content-Type is "{received[:128]}", expected {JSON}, or {BINARY} with {HEADER_LENGTH}'
        )


def _header_length(header: str | None) -> int | None:
    if header is None:
        return None
    if not WHOLE_NUMBER.fullmatch(header) or int(header) == 0:
        raise WrongFields(
            f'{HEADER_LENGTH} is "{header[:32]}", expected the length of the JSON in bytes,'
            " at least 1"
        )
    return int(header)
