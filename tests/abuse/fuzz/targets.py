"""What a fuzzer calls: bytes go in, and nothing but an error of the tree may come out."""

from collections.abc import Callable, Mapping

import numpy as np

from oodguard.models.errors import GuardError
from oodguard.models.manifest import InputSpec
from oodguard.service.images.body import content_type, parse
from oodguard.service.images.decode import decode_image
from oodguard.service.images.header import EncodedImage, read_header
from oodguard.service.images.types import Body, RequestLimits
from tests.abuse.samples import JSON, MULTIPART, RAW

Target = Callable[[bytes], None]

SPEC = InputSpec(height=8, width=8)
# As large as the fuzzer's memory limit bears with ease.
LIMITS = RequestLimits(max_body_bytes=2**20, max_images=8, max_pixels=250_000)


def header(data: bytes) -> None:
    """Format and size from an image's first bytes."""
    found = read_header(data)
    assert found.width > 0 < found.height


def image(data: bytes) -> None:
    """An encoded image to pixels."""
    pixels = decode_image(EncodedImage(data=data), SPEC, max_pixels=LIMITS.max_pixels)
    assert pixels.shape == (SPEC.height, SPEC.width, 3)
    assert pixels.dtype == np.uint8


def multipart(data: bytes) -> None:
    """A multipart body, taken apart."""
    _parse(MULTIPART, data)


def json(data: bytes) -> None:
    """A JSON body, taken apart."""
    _parse(JSON, data)


def raw(data: bytes) -> None:
    """Raw pixels: X-Shape is the first line, the body is the rest."""
    shape, _, body = data.partition(b"\n")
    _parse(RAW, body, shape.decode("latin-1"))


def kind(data: bytes) -> None:
    """A Content-Type: the first line is the header, the body is the rest."""
    said, _, body = data.partition(b"\n")
    _parse(said.decode("latin-1"), body)


TARGETS: Mapping[str, Target] = {
    target.__name__: target for target in (header, image, multipart, json, raw, kind)
}


def run(name: str, data: bytes) -> None:
    """Run a target; errors of the tree are what it is allowed to end with."""
    try:
        TARGETS[name](data)
    except GuardError:
        return


def _parse(said: str, data: bytes, shape: str | None = None) -> None:
    known, options = content_type(said)
    body = Body(data=data, content_type=known, options=options, shape=shape)
    assert 1 <= len(parse(body, LIMITS)) <= LIMITS.max_images
