"""Encoded images and their headers: the format and size, read without decoding.

Limits are checked before Pillow sees the file, because opening a WebP already allocates its canvas.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from oodguard.models.errors import ImageTooLarge, UndecodableImage, UnsupportedImage
from oodguard.service.images.jpeg_structure import read_structure

ImageFormat = Literal["JPEG", "PNG", "WEBP"]

SUPPORTED = "a JPEG, PNG or WebP"

# The longest side of a JPEG. A PNG of 1 x 49000000 pixels has 95 kB; decoding it would take nine
# seconds and, where the model's resize rule is to stretch, gigabytes.
MAX_SIDE = 65_535

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

PNG_HEADER_BYTES = 24

WEBP_HEADER_BYTES = 30

# Pillow reads the chunks of a PNG in Python, and libwebp stores a record for each: 1.4 million took
# a minute.
MAX_CHUNKS = 1000

# Encoders write pixels in chunks of 8 kB or more.
MIN_IDAT_BYTES = 1024

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
    """The format, width and height that a file claims; the sides are in pixels.

    Attributes:
        scanned_components: The number of components of a JPEG whose pixels are spread over several
            scans; 0: they are not.
    """

    format: ImageFormat
    width: int
    height: int
    scanned_components: int = 0


@dataclass(frozen=True, kw_only=True)
class EncodedImage:
    """One encoded image, and the file name that the client gave."""

    data: bytes
    name: str | None = None

    @cached_property
    def header(self) -> ImageHeader:
        """The format and size, read once; the number of segments or chunks is checked.

        Raises:
            UndecodableImage: Not an image, truncated within its header, or too many segments.
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
        UndecodableImage: Empty, truncated within its header, not an image, or too many segments.
        UnsupportedImage: An image of an unsupported format.
    """
    if not data:
        raise UndecodableImage(f"the image has 0 bytes, expected {SUPPORTED}")
    if data.startswith(PNG_SIGNATURE):
        return _header("PNG", _png(data))
    if data.startswith(b"\xff\xd8\xff"):
        jpeg = read_structure(data)
        return _header("JPEG", (jpeg.width, jpeg.height), jpeg.scanned_components)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _header("WEBP", _webp(data))
    for signature, name in UNSUPPORTED.items():
        if data.startswith(signature):
            raise UnsupportedImage(f"the image is {name}, expected {SUPPORTED}")
    if data[4:8] == b"ftyp":
        raise UnsupportedImage(f"the image is an AVIF, HEIC or video, expected {SUPPORTED}")
    raise UndecodableImage(f"the {len(data)} bytes are not an image, expected {SUPPORTED}")


def _header(name: ImageFormat, size: tuple[int, int], scanned_components: int = 0) -> ImageHeader:
    width, height = size
    if width == 0 or height == 0:
        raise UndecodableImage(
            f"the {name} header has the size {width} x {height}, expected at least 1 x 1"
        )
    return ImageHeader(
        format=name, width=width, height=height, scanned_components=scanned_components
    )


def _png(data: bytes) -> tuple[int, int]:
    """Read IHDR, which is the first chunk: ISO/IEC 15948, 11.2.2."""
    if data[12:16] != b"IHDR" or len(data) < PNG_HEADER_BYTES:
        raise UndecodableImage("the PNG is truncated within its header")
    position = len(PNG_SIGNATURE)
    chunks, pixel_chunks = 0, -(len(data) // MIN_IDAT_BYTES)
    while position + 8 <= len(data):
        kind = data[position + 4 : position + 8]
        if kind == b"IDAT":
            pixel_chunks += 1
        elif kind == b"IEND":
            break
        else:
            chunks += 1
        _check_chunks("PNG", max(chunks, pixel_chunks))
        position += 12 + int.from_bytes(data[position : position + 4])
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def _check_chunks(name: ImageFormat, count: int) -> None:
    if count > MAX_CHUNKS:
        raise UndecodableImage(
            f"the {name} has more than {MAX_CHUNKS} chunks, expected at most {MAX_CHUNKS}, and one"
            f" IDAT chunk more for each {MIN_IDAT_BYTES} bytes of a PNG"
        )


def _webp(data: bytes) -> tuple[int, int]:
    """Read the size from the first chunk: RFC 9649, 2.5 to 2.7."""
    if len(data) < WEBP_HEADER_BYTES:
        raise UndecodableImage("the WebP is truncated within its header")
    position, chunks = 12, 0
    while position + 8 <= len(data):
        chunks += 1
        _check_chunks("WEBP", chunks)
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + size + size % 2
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
