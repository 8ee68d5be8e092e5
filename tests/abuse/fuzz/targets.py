"""The functions under fuzzing; each accepts bytes and raises nothing but errors of the tree."""

from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from oodguard.models.errors import GuardError
from oodguard.models.manifest import InputSpec
from oodguard.models.preprocessing import prepare
from oodguard.service.images.body import content_type, parse
from oodguard.service.images.decode import decode_image
from oodguard.service.images.header import EncodedImage, read_header
from oodguard.service.images.types import Body, RequestLimits
from tests.abuse.bodies import JSON, MULTIPART, RAW

Target = Callable[[bytes], None]

SPEC = InputSpec(height=8, width=8)
MAX_MODEL_SIDE = 500
# Well within the fuzzer's memory limit.
LIMITS = RequestLimits(max_body_bytes=2**20, max_images=8, max_pixels=250_000)


def header(data: bytes) -> None:
    """Read format and size from an image's first bytes."""
    found = read_header(data)
    assert found.width > 0 < found.height


def image(data: bytes) -> None:
    """Decode an encoded image."""
    pixels = decode_image(EncodedImage(data=data), SPEC, max_pixels=LIMITS.max_pixels)
    assert pixels.shape == (SPEC.height, SPEC.width, 3)
    assert pixels.dtype == np.uint8


def jpeg(data: bytes) -> None:
    """Decode a JPEG for a model of its own size, and compare the pixels with Pillow's."""
    if not data.startswith(b"\xff\xd8\xff"):
        return
    found = read_header(data)
    if max(found.width, found.height) > MAX_MODEL_SIDE:
        return
    spec = InputSpec(height=found.height, width=found.width)
    pixels = decode_image(EncodedImage(data=data), spec, max_pixels=LIMITS.max_pixels)
    with JpegImageFile(BytesIO(data)) as opened:
        opened.load()  # after which simplejpeg is not used
        np.testing.assert_array_equal(pixels, prepare(opened, spec))


def multipart(data: bytes) -> None:
    """Parse a multipart body."""
    _parse(MULTIPART, data)


def json(data: bytes) -> None:
    """Parse a JSON body."""
    _parse(JSON, data)


def raw(data: bytes) -> None:
    """Parse raw pixels: the first line is X-Shape, the rest is the body."""
    shape, _, body = data.partition(b"\n")
    _parse(RAW, body, shape.decode("latin-1"))


def kind(data: bytes) -> None:
    """Parse a Content-Type, which is the first line, and the body, which is the rest."""
    value, _, body = data.partition(b"\n")
    _parse(value.decode("latin-1"), body)


TARGETS: Mapping[str, Target] = {
    target.__name__: target for target in (header, image, jpeg, multipart, json, raw, kind)
}


def run(name: str, data: bytes) -> None:
    """Run a target; the errors of the tree are allowed."""
    try:
        TARGETS[name](data)
    except GuardError:
        return


def _parse(value: str, data: bytes, shape: str | None = None) -> None:
    known, options = content_type(value)
    body = Body(data=data, content_type=known, options=options, shape=shape)
    assert 1 <= len(parse(body, LIMITS)) <= LIMITS.max_images
