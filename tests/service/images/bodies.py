"""Parse a body with small limits."""

from oodguard.service.images.body import content_type, parse
from oodguard.service.images.types import Body, Payload, RequestLimits

LIMITS = RequestLimits(max_body_bytes=10_000, max_images=3, max_pixels=10**6)
MULTIPART = "multipart/form-data; boundary=x"


def parsed(data: bytes, header: str, shape: str | None = None) -> Payload:
    kind, options = content_type(header)
    return parse(Body(data=data, content_type=kind, options=options, shape=shape), LIMITS)
