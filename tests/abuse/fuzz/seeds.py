"""The initial inputs of the fuzzer: the bodies of the corpus, for the targets that accept them."""

from collections.abc import Iterator, Mapping

from tests.abuse.bodies import JSON, MULTIPART, RAW
from tests.abuse.corpus import corpus
from tests.abuse.fuzz.targets import TARGETS

# Longer inputs slow the fuzzer down and add little coverage.
MAX_BYTES = 8192


def seeds() -> Mapping[str, list[bytes]]:
    """Return the distinct inputs of every target, in the order of the corpus."""
    found: Mapping[str, dict[bytes, None]] = {name: {} for name in TARGETS}
    for content_type, shape, body in _bodies():
        for name, data in _inputs(content_type, shape, body):
            if len(data) <= MAX_BYTES:
                found[name][data] = None
    return {name: list(inputs) for name, inputs in found.items()}


def _inputs(content_type: bytes, shape: bytes, body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the targets of a body, each with its input."""
    yield "kind", content_type + b"\n" + body[:200]
    if content_type == RAW.encode():
        yield "raw", shape + b"\n" + body
    if content_type == MULTIPART.encode():
        yield "multipart", body
    if content_type == JSON.encode():
        yield "json", body
    if content_type.startswith(b"image/"):
        yield "header", body
        yield "image", body
        if body.startswith(b"\xff\xd8\xff"):
            yield "jpeg", body


def _bodies() -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield Content-Type, X-Shape and body of every case that is one complete request."""
    for case in corpus():
        head, end, body = case.sent.partition(b"\r\n\r\n")
        if end and len(case.steps) == 1:
            yield _header(head, b"Content-Type"), _header(head, b"X-Shape"), body


def _header(head: bytes, name: bytes) -> bytes:
    _, found, rest = head.partition(b"\r\n" + name + b": ")
    return rest.partition(b"\r\n")[0] if found else b""
