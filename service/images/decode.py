"""Encoded bytes to the pixels a model takes, within limits.

The three decoders are called by name: `Image.open` would try others, hand a phone's multi-picture
JPEG to a second one, and warn by a process-wide limit that is not ours.
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.ImageFile import MAXBLOCK
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from oodguard.models.errors import ImageError, UndecodableImage
from oodguard.models.manifest import InputSpec
from oodguard.models.preprocessing import prepare
from oodguard.service.errors import DeadlineExceeded, InvalidImage
from oodguard.service.images.header import PNG_SIGNATURE, TAKEN, Format, check_size, read_header
from oodguard.service.images.types import Encoded, Payload, RequestLimits

# Signature; IHDR with its size and type, width, height, bit depth, colour type, compression,
# filter, interlace and checksum; size and type of the next chunk: ISO/IEC 15948, 11.2.2.
HEAD = struct.Struct(">8sI4sIIBBBBBII4s")

CHECKED = slice(12, 29)

# The checksum of the pixels' chunk, which Pillow does not look at, and the whole last chunk.
TAIL_BYTES = 16

END = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))

MODES: Mapping[int, str] = {0: "L", 2: "RGB", 6: "RGBA"}
"""Pillow's modes of eight bits a channel, by colour type."""


def open_plain(data: bytes) -> Image.Image | None:
    """Decode a plain PNG of eight bits a channel, at most 64 kB of them, not interlaced.

    Args:
        data: The file; its size in pixels must have been checked.

    Returns:
        The very image that Pillow would open; none: this is another kind of file, or a broken one,
        and Pillow is to say of it what there is to say.
    """
    if not HEAD.size + TAIL_BYTES < len(data) <= MAXBLOCK or not data.endswith(END):
        return None
    signature, size, kind, *header, checksum, pixel_bytes, pixels = HEAD.unpack_from(data)
    width, height, depth, colour, *methods = header
    if (signature, size, kind, pixels) != (PNG_SIGNATURE, 13, b"IHDR", b"IDAT"):
        return None
    end = HEAD.size + pixel_bytes
    if end + TAIL_BYTES != len(data) or checksum != zlib.crc32(data[CHECKED]):
        return None
    if depth != 8 or colour not in MODES or any(methods):
        return None
    mode = MODES[colour]
    try:
        return Image.frombytes(mode, (width, height), data[HEAD.size : end], "zip", mode, 0)
    except (OSError, ValueError):
        return None


DECODERS: Mapping[Format, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
}

# What Pillow raises on broken bytes, in the pixels or in the EXIF record that `prepare` reads.
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    struct.error,
    zlib.error,
)


def read_image(data: bytes, spec: InputSpec, *, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG or WebP and bring it to the model's size.

    Args:
        data: The encoded image.
        spec: The size and the rule, from the manifest.
        max_pixels: Most pixels, checked on the header before anything is decoded.

    Returns:
        `(H, W, 3)` RGB.

    Raises:
        UndecodableImage: Not an image, truncated or broken.
        UnsupportedImage: An image of a format or kind that is not taken.
        ImageTooLarge: More than `max_pixels`, or a side that is too long.
    """
    header = read_header(data)
    check_size(header.width, header.height, max_pixels)
    if header.format == "PNG" and (plain := open_plain(data)):
        return prepare(plain, spec)
    try:
        with DECODERS[header.format](BytesIO(data)) as image:
            # A file may hide a second frame header; the decoder's own reading counts too.
            check_size(image.width, image.height, max_pixels)
            _check_palette(image)
            return prepare(image, spec)
    except BROKEN as error:
        raise UndecodableImage(
            f"the {header.format} is broken or truncated ({error}); {TAKEN}"
        ) from error


def _check_palette(image: ImageFile.ImageFile) -> None:
    # Pillow opens a PNG of palette indices that has no palette, and fails an assertion later on.
    if image.mode == "P" and image.palette is None:
        raise UndecodableImage(f"the {image.format} has no palette for its pixels; {TAKEN}")


def fits(payload: Payload, spec: InputSpec) -> TypeGuard[NDArray[np.uint8]]:
    """Whether a payload already is what the model reads."""
    return isinstance(payload, np.ndarray) and payload.shape[1:3] == (spec.height, spec.width)


def to_pixels(
    payload: Payload, spec: InputSpec, limits: RequestLimits, given_up: Callable[[], object]
) -> NDArray[np.uint8]:
    """Bring every image of a request to the model's size.

    Args:
        payload: Encoded images, or raw pixels of any size.
        spec: The size and the rule, from the manifest.
        limits: What an image may ask for.
        given_up: Says, before each image, whether anybody still waits for it.

    Returns:
        `(n, H, W, 3)` RGB.

    Raises:
        InvalidImage: The first image that cannot be judged, by its place.
        DeadlineExceeded: Nobody waits any more.
    """
    if fits(payload, spec):
        return payload
    pixels = np.empty((len(payload), spec.height, spec.width, 3), np.uint8)
    for index, image in enumerate(payload):
        if given_up():
            raise DeadlineExceeded(f"{index} of {len(payload)} images were decoded in time")
        pixels[index] = _one(image, spec, limits, index)
    return pixels


def _one(
    image: Encoded | NDArray[np.uint8], spec: InputSpec, limits: RequestLimits, index: int
) -> NDArray[np.uint8]:
    if not isinstance(image, Encoded):
        return prepare(Image.fromarray(image), spec)
    try:
        return read_image(bytes(image.data), spec, max_pixels=limits.max_pixels)
    except ImageError as error:
        raise InvalidImage(error, index=index, name=image.name) from error
