"""Encoded images and their headers: the format and size, read without decoding.

Limits are checked before Pillow sees the file, because opening a WebP already allocates its canvas.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from oodguard.models.errors import ImageTooLarge, UndecodableImage, UnsupportedImage

ImageFormat = Literal["JPEG", "PNG", "WEBP"]

SUPPORTED = "a JPEG, PNG or WebP"

# The longest side of a JPEG. A PNG of 1 x 49000000 pixels has 95 kB; decoding it would take nine
# seconds and, where the model's resize rule is to stretch, gigabytes.
MAX_SIDE = 65_535

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

PNG_HEADER_BYTES = 24

WEBP_HEADER_BYTES = 30

JPEG_MARKER = 0xFF

# SOF0..SOF15 without DHT (C4), JPG (C8) and DAC (CC): ITU T.81, table B.1.
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

# Markers without a length: TEM, RST0..RST7, SOI.
BARE_MARKERS = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})

PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})

END_OF_IMAGE, START_OF_SCAN = 0xD9, 0xDA

# Known formats, so that the error can name them.
UNSUPPORTED = {
    b"GIF87a": "a GIF",
    b"GIF89a": "a GIF",
    b"II*\x00": "a TIFF",
    b"MM\x00*": "a TIFF",
    b"BM": "a BMP",
    b"%PDF": "a PDF",
    b"\x00\x00\x01\x00": "an icon",
    b"8BPS": "a Photoshop file",
    b"\xff\x0a": "a JPEG XL",
    b"\x00\x00\x00\x0cJXL ": "a JPEG XL",
    b"\x00\x00\x00\x0cjP  ": "a JPEG 2000",
    b"<svg": "an SVG",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageHeader:
    """The format, width and height that a file claims; the sides are in pixels."""

    format: ImageFormat
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class EncodedImage:
    """One encoded image, and the file name that the client gave."""

    data: bytes
    name: str | None = None

    @cached_property
    def header(self) -> ImageHeader:
        """The format and size, read once from the first bytes.

        Raises:
            UndecodableImage: Not an image, or truncated within its header.
            UnsupportedImage: An image of an unsupported format.
        """
        return read_header(self.data)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Check the claimed size of an image.

    Raises:
        ImageTooLarge: Too many pixels, or too long a side.
    """
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"the image has {width} x {height} = {width * height} pixels,"
            f" expected at most {max_pixels}"
        )
    if max(width, height) > MAX_SIDE:
        raise ImageTooLarge(
            f"the image has {width} x {height} pixels, expected sides of at most {MAX_SIDE}"
        )


def read_header(data: bytes) -> ImageHeader:
    """Read the format and size of an encoded image.

    Raises:
        UndecodableImage: Empty, truncated within its header, or not an image.
        UnsupportedImage: An image of an unsupported format.
    """
    if not data:
        raise UndecodableImage(f"the image has 0 bytes, expected {SUPPORTED}")
    if data.startswith(PNG_SIGNATURE):
        return _header("PNG", _png(data))
    if data.startswith(b"\xff\xd8\xff"):
        return _header("JPEG", _jpeg(data))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _header("WEBP", _webp(data))
    for signature, name in UNSUPPORTED.items():
        if data.startswith(signature):
            raise UnsupportedImage(f"the image is {name}, expected {SUPPORTED}")
    if data[4:8] == b"ftyp":
        raise UnsupportedImage(f"the image is an AVIF, HEIC or video, expected {SUPPORTED}")
    raise UndecodableImage(f"the {len(data)} bytes are not an image, expected {SUPPORTED}")


def _header(name: ImageFormat, size: tuple[int, int]) -> ImageHeader:
    width, height = size
    if width == 0 or height == 0:
        raise UndecodableImage(
            f"the {name} header has the size {width} x {height}, expected at least 1 x 1"
        )
    return ImageHeader(format=name, width=width, height=height)


def _png(data: bytes) -> tuple[int, int]:
    """Read IHDR, which is the first chunk: ISO/IEC 15948, 11.2.2."""
    if data[12:16] != b"IHDR" or len(data) < PNG_HEADER_BYTES:
        raise UndecodableImage("the PNG is truncated within its header")
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def _jpeg(data: bytes) -> tuple[int, int]:
    """Read the frame header: ITU T.81, B.2.2."""
    for marker, position in _segments(data):
        if marker in START_OF_FRAME:
            height, width = data[position + 5 : position + 7], data[position + 7 : position + 9]
            return int.from_bytes(width), int.from_bytes(height)
    raise UndecodableImage("the JPEG is truncated or invalid within its headers")


def has_several_scans(jpeg: bytes) -> bool:
    """Return whether a JPEG's pixels are spread over several scans: ITU T.81, B.2.3.

    libjpeg then keeps the coefficients of the whole image: it does for a progressive image, and if
    the first scan has fewer components than the frame.
    """
    components = 0
    for marker, position in _segments(jpeg):
        if marker in PROGRESSIVE:
            return True
        if marker in START_OF_FRAME:
            components = jpeg[position + 9] if position + 9 < len(jpeg) else 0
        elif marker == START_OF_SCAN:
            return jpeg[position + 4] < components
    return False


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the marker and the position of each segment, up to the first scan."""
    position = 2
    while position + 9 <= len(data):
        prefix, marker = data[position], data[position + 1]
        if prefix != JPEG_MARKER or marker == JPEG_MARKER:
            # Skip fill bytes and stray bytes between segments, as libjpeg does.
            position += 1
        elif marker in BARE_MARKERS:
            position += 2
        elif marker == END_OF_IMAGE:
            return
        else:
            yield marker, position
            if marker == START_OF_SCAN:
                return
            position += 2 + int.from_bytes(data[position + 2 : position + 4])


def _webp(data: bytes) -> tuple[int, int]:
    """Read the size from the first chunk: RFC 9649, 2.5 to 2.7."""
    if len(data) < WEBP_HEADER_BYTES:
        raise UndecodableImage("the WebP is truncated within its header")
    match data[12:16]:
        case b"VP8 ":
            sides = int.from_bytes(data[26:28], "little"), int.from_bytes(data[28:30], "little")
            return sides[0] & 0x3FFF, sides[1] & 0x3FFF
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            sides = int.from_bytes(data[24:27], "little"), int.from_bytes(data[27:30], "little")
            return sides[0] + 1, sides[1] + 1
        case _:
            raise UndecodableImage("the WebP does not start with an image chunk")
