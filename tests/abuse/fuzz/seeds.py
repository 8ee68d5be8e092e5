"""What a fuzzer begins with: the bodies of the corpus, each for the targets that it concerns."""

from collections.abc import Iterator, Mapping

from tests.abuse.corpus import corpus
from tests.abuse.fuzz.targets import TARGETS
from tests.abuse.samples import JSON, MULTIPART, RAW

# Longer ones slow a fuzzer down and teach it little.
MOST_BYTES = 8192


def seeds() -> Mapping[str, list[bytes]]:
    """The distinct inputs of every target, in the order of the corpus."""
    found: Mapping[str, dict[bytes, None]] = {name: {} for name in TARGETS}
    for said, shape, body in _bodies():
        for name, data in _inputs(said, shape, body):
            if len(data) <= MOST_BYTES:
                found[name][data] = None
    return {name: list(inputs) for name, inputs in found.items()}


def _inputs(said: bytes, shape: bytes, body: bytes) -> Iterator[tuple[str, bytes]]:
    """The targets that a body concerns, each with the input that stands for it."""
    yield "kind", said + b"\n" + body[:200]
    if said == RAW.encode():
        yield "raw", shape + b"\n" + body
    if said == MULTIPART.encode():
        yield "multipart", body
    if said == JSON.encode():
        yield "json", body
    if said.startswith(b"image/"):
        yield "header", body
        yield "image", body


def _bodies() -> Iterator[tuple[bytes, bytes, bytes]]:
    """Content-Type, X-Shape and body of every case that is one whole request."""
    for case in corpus():
        head, end, body = case.sent.partition(b"\r\n\r\n")
        if end and len(case.steps) == 1:
            yield _header(head, b"Content-Type"), _header(head, b"X-Shape"), body


def _header(head: bytes, name: bytes) -> bytes:
    _, found, rest = head.partition(b"\r\n" + name + b": ")
    return rest.partition(b"\r\n")[0] if found else b""
