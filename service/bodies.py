"""A request's headers and body, read within the byte limit."""

from starlette.requests import Request

from service.errors import BodyTooLarge, UnsupportedContent
from service.payloads.parsers import content_type
from service.payloads.types import Body


async def read_body(request: Request, max_bytes: int) -> Body:
    """Read a body that says what it is, never more of it than the limit.

    Raises:
        UnsupportedContent: A content type or encoding that is not taken; nothing was read.
        BodyTooLarge: By its Content-Length, before reading, or by what came.
    """
    headers = request.headers
    kind, options = content_type(headers.get("content-type"))
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedContent(f"content encoding {encoding[:64]!r} came; send the body as it is")
    declared = headers.get("content-length", "")
    # More than 18 digits is more bytes than there are; int() of thousands of digits is slow.
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > max_bytes):
        raise BodyTooLarge(f"{declared[:32]} bytes were announced; at most {max_bytes} are taken")
    return Body(
        data=await _read(request, max_bytes),
        content_type=kind,
        options=options,
        shape=headers.get("x-shape"),
    )


async def _read(request: Request, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > max_bytes:
            raise BodyTooLarge(f"more than {max_bytes} bytes came; at most {max_bytes} are taken")
        chunks.append(chunk)
    return b"".join(chunks)
