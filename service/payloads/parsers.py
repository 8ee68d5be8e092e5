"""Which content types are taken, and who reads each."""

from collections.abc import Mapping

from python_multipart.multipart import parse_options_header

from service.errors import UnsupportedContent
from service.payloads.base64_json import read_json
from service.payloads.multipart import read_files
from service.payloads.raw_pixels import read_pixels
from service.payloads.types import Body, Encoded, Limits, Parser, Payload

RAW_PIXELS = "application/octet-stream"


def _encoded(body: Body, _limits: Limits) -> Payload:
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


def parse(body: Body, limits: Limits) -> Payload:
    """Take a body apart by its content type; nothing is decoded yet.

    Raises:
        RequestError: What is wrong with the body, by the tree in `service.errors`.
    """
    return PARSERS[body.content_type](body, limits)
