"""A request's headers and body, read within the byte limit."""

from collections.abc import Callable, Mapping

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from oodguard.service.asgi import header
from oodguard.service.errors import BodyTooLarge, ClientDisconnected, UnsupportedContent
from oodguard.service.images.formats import read_files, read_json, read_pixels
from oodguard.service.images.types import Body, Encoded, Parser, Payload, RequestLimits

RAW_PIXELS = "application/octet-stream"


def _encoded(body: Body, _limits: RequestLimits) -> Payload:
    return [Encoded(data=body.data)]


PARSERS: Mapping[str, Parser] = {
    "multipart/form-data": read_files,
    "application/json": read_json,
    "image/jpeg": _encoded,
    "image/png": _encoded,
    "image/webp": _encoded,
    RAW_PIXELS: read_pixels,
}


def content_type(header: str | None) -> tuple[str, Mapping[bytes, bytes]]:
    """Split a Content-Type header into a known type and its options.

    Raises:
        UnsupportedContent: Missing or not one of `PARSERS`.
    """
    if header is not None and header in PARSERS:
        return header, {}
    name, options = parse_options_header(header)
    known = name.decode("latin-1").lower()
    if known not in PARSERS:
        came = f"content type {known[:128]!r}" if known else "no content type"
        raise UnsupportedContent(f"{came} came; send one of {', '.join(PARSERS)}")
    return known, options


def parse(body: Body, limits: RequestLimits) -> Payload:
    """Take a body apart by its content type; nothing is decoded yet.

    Raises:
        RequestError: What is wrong with the body, by the tree in `service.errors`.
    """
    return PARSERS[body.content_type](body, limits)


# Pieces of a large body are joined as they come. Freed, many small ones would leave holes that the
# process keeps: 250 MB of them after sixty clients that hung up.
BLOCK_BYTES = 2**20


async def read_body(request: Request, max_bytes: int, claim: Callable[[int], None]) -> Body:
    """Read a body that says what it is, never more of it than the limit.

    Args:
        request: The request.
        max_bytes: Most bytes of one body.
        claim: Called with the number of bytes before they are kept; may refuse them.

    Raises:
        UnsupportedContent: A content type or encoding that is not taken; nothing was read.
        BodyTooLarge: By its Content-Length, before reading, or by what came.
    """
    kind, options = content_type(header(request.scope, b"content-type"))
    return Body(
        data=await read_bytes(request, max_bytes, claim),
        content_type=kind,
        options=options,
        shape=header(request.scope, b"x-shape"),
    )


async def read_bytes(request: Request, max_bytes: int, claim: Callable[[int], None]) -> bytes:
    """Read a body of whatever type; arguments and errors are those of `read_body`."""
    encoding = (header(request.scope, b"content-encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedContent(f"content encoding {encoding[:64]!r} came; send the body as it is")
    declared = header(request.scope, b"content-length") or ""
    # More than 18 digits is more bytes than there are; int() of thousands of digits is slow.
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > max_bytes):
        raise BodyTooLarge(f"{declared[:32]} bytes were announced; at most {max_bytes} are taken")
    return await _collect(request, max_bytes, claim)


async def _collect(request: Request, max_bytes: int, claim: Callable[[int], None]) -> bytes:
    blocks: list[bytes] = []
    pieces: list[bytes] = []
    total = held = 0
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected("the client hung up before all of its body had come")
        piece, more = message.get("body", b""), message.get("more_body", False)
        total += len(piece)
        if total > max_bytes:
            raise BodyTooLarge(f"more than {max_bytes} bytes came; at most {max_bytes} are taken")
        claim(len(piece))
        pieces.append(piece)
        held += len(piece)
        if held >= BLOCK_BYTES:
            blocks.append(b"".join(pieces))
            pieces.clear()
            held = 0
    return b"".join([*blocks, *pieces])
