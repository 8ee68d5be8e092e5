"""Read a request body within the byte limit, and parse it by its content type."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from oodguard.service.errors import BodyTooLarge, ClientDisconnected, UnsupportedContent
from oodguard.service.images.formats import parse_json, parse_multipart, parse_raw
from oodguard.service.images.header import EncodedImage
from oodguard.service.images.types import Body, Payload, RequestLimits

RAW_PIXELS = "application/octet-stream"

Parser: TypeAlias = Callable[[Body, RequestLimits], Payload]


def parse_encoded(body: Body, _limits: RequestLimits) -> Payload:
    """Take the body as one encoded image."""
    return [EncodedImage(data=body.data)]


PARSERS: Mapping[str, Parser] = {
    "multipart/form-data": parse_multipart,
    "application/json": parse_json,
    "image/jpeg": parse_encoded,
    "image/png": parse_encoded,
    "image/webp": parse_encoded,
    RAW_PIXELS: parse_raw,
}

# Python parses the parameters: those of 64 kB took 54 ms. A type and a boundary have about 100.
MAX_CONTENT_TYPE_CHARACTERS = 1024

# Chunks of a large body are joined as they are received. Freed one by one, many small chunks would
# leave holes in the heap that the process keeps: 250 MB after sixty client disconnects.
BLOCK_BYTES = 2**20


def parse(body: Body, limits: RequestLimits) -> Payload:
    """Parse a body by its content type, without decoding its images.

    Raises:
        RequestError: The body is invalid, see `service.errors`.
    """
    return PARSERS[body.content_type](body, limits)


def count_images(body: Body) -> int:
    """Return the number of images of a valid body of several, fast and without parsing it."""
    match body.content_type:
        case "multipart/form-data":
            # One such line precedes each file, and one ends the form.
            return max(1, body.data.count(b"\r\n--" + body.options.get(b"boundary", b"")))
        case "application/json":
            # Two quotes of the field name and two of each string; base64 has none.
            return max(1, body.data.count(b'"') // 2 - 1)
        case _:
            return 1


def content_type(header: str | None) -> tuple[str, Mapping[bytes, bytes]]:
    """Split a Content-Type header into one of `PARSERS` and its parameters.

    Raises:
        UnsupportedContent: Missing, too long, or another type.
    """
    if header is not None and header in PARSERS:
        return header, {}
    if header is not None and len(header) > MAX_CONTENT_TYPE_CHARACTERS:
        raise UnsupportedContent(
            f"Content-Type has {len(header)} characters, expected at most"
            f" {MAX_CONTENT_TYPE_CHARACTERS}"
        )
    name, options = parse_options_header(header)
    known = name.decode("latin-1").lower()
    if known not in PARSERS:
        received = f'"{known[:128]}"' if known else "missing"
        raise UnsupportedContent(
            f"Content-Type is {received}, expected one of: {', '.join(PARSERS)}"
        )
    return known, options


class BodyObserver(Protocol):
    """Called while a body is received; both methods may raise to reject the request."""

    def received(self, count: int) -> None:
        """Record that `count` more bytes were received, before they are stored."""

    def complete(self) -> None:
        """Record the end of the body."""


async def read_body(request: Request, max_bytes: int, observer: BodyObserver) -> Body:
    """Read a body of one of the content types of `PARSERS`, within the limit.

    Args:
        request: The request.
        max_bytes: Maximum number of bytes.
        observer: Called for each chunk and at the end.

    Raises:
        UnsupportedContent: Another content type or encoding; nothing was read.
        BodyTooLarge: By Content-Length before reading, or by the bytes received.
        ClientDisconnected: The client disconnected before the end of the body.
    """
    kind, options = content_type(request.headers.get("content-type"))
    return Body(
        data=await read_bytes(request, max_bytes, observer),
        content_type=kind,
        options=options,
        shape=request.headers.get("x-shape"),
    )


async def read_bytes(request: Request, max_bytes: int, observer: BodyObserver) -> bytes:
    """Read a body of any type; arguments and errors are those of `read_body`."""
    encoding = (request.headers.get("content-encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedContent(
            f'Content-Encoding is "{encoding[:64]}", expected "identity":'
            " send the body uncompressed"
        )
    length = request.headers.get("content-length", "")
    # int() of thousands of digits is slow, and no body has more than 18 digits of bytes.
    if length.isdecimal() and (len(length) > 18 or int(length) > max_bytes):
        raise BodyTooLarge(f"Content-Length is {length[:32]} bytes, expected at most {max_bytes}")
    blocks: list[bytes] = []
    chunks: list[bytes] = []
    total = chunk_bytes = 0
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected("the client disconnected before the end of the body")
        chunk, more = message.get("body", b""), message.get("more_body", False)
        total += len(chunk)
        if total > max_bytes:
            raise BodyTooLarge(
                f"the body has more than {max_bytes} bytes, expected at most {max_bytes}"
            )
        observer.received(len(chunk))
        chunks.append(chunk)
        chunk_bytes += len(chunk)
        if chunk_bytes >= BLOCK_BYTES:
            blocks.append(b"".join(chunks))
            chunks.clear()
            chunk_bytes = 0
    observer.complete()
    return b"".join([*blocks, *chunks])
