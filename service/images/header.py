"""The format and size that an encoded image claims, read from its first bytes.

The size is wanted before Pillow sees the file: opening a WebP already allocates its canvas.
"""

from dataclasses import dataclass
from typing import Literal

from oodguard.models.errors import ImageError, ImageTooLarge, UndecodableImage, UnsupportedImage
from oodguard.service.images.types import Payload

# The most that a JPEG can have. A PNG of 1 x 49000000 has 95 kB, and would keep a decoder for
# nine seconds and, where the model's rule is to stretch, take gigabytes.
LONGEST_SIDE = 65_535


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse what is too large.

    Args:
        width: In pixels, as claimed.
        height: In pixels, as claimed.
        max_pixels: Most pixels of one picture.

    Raises:
        ImageTooLarge: More pixels, or a longer side, than is taken.
    """
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"{width} x {height} = {width * height} pixels came; at most {max_pixels} are taken"
        )
    if max(width, height) > LONGEST_SIDE:
        raise ImageTooLarge(
            f"{width} x {height} pixels came; a side of at most {LONGEST_SIDE} is taken"
        )


Format = Literal["JPEG", "PNG", "WEBP"]

TAKEN = "send a JPEG, PNG or WebP"

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

PNG_SIZE_END = 24

WEBP_SIZE_END = 30

MARKER = 0xFF

# SOF0..SOF15 without DHT (C4), JPG (C8) and DAC (CC): ITU T.81, table B.1.
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

# Markers that carry no length: TEM, RST0..RST7, SOI.
BARE_MARKERS = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})

END_OF_HEADERS = frozenset({0xD9, 0xDA})

# Told apart from junk so that the answer can say what came.
NOT_TAKEN = {
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
    """What a file says of itself; width and height in pixels."""

    format: Format
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def read_header(data: bytes) -> ImageHeader:
    """Read format and size without decoding anything.

    Raises:
        UndecodableImage: Empty, cut off within its header, or no image at all.
        UnsupportedImage: An image of a known format that is not taken.
    """
    if not data:
        raise UndecodableImage(f"0 bytes came; {TAKEN}")
    if data.startswith(PNG_SIGNATURE):
        return _sized("PNG", _png(data))
    if data.startswith(b"\xff\xd8\xff"):
        return _sized("JPEG", _jpeg(data))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _sized("WEBP", _webp(data))
    for signature, name in NOT_TAKEN.items():
        if data.startswith(signature):
            raise UnsupportedImage(f"{name} came; {TAKEN}")
    if data[4:8] == b"ftyp":
        raise UnsupportedImage(f"an AVIF, HEIC or video came; {TAKEN}")
    raise UndecodableImage(f"{len(data)} bytes that are no image came; {TAKEN}")


def _sized(name: Format, size: tuple[int, int]) -> ImageHeader:
    width, height = size
    if width == 0 or height == 0:
        raise UndecodableImage(f"the {name} header gives a size of {width} x {height}")
    return ImageHeader(format=name, width=width, height=height)


def _png(data: bytes) -> tuple[int, int]:
    """IHDR comes first, by the standard: ISO/IEC 15948, 11.2.2."""
    if data[12:16] != b"IHDR" or len(data) < PNG_SIZE_END:
        raise UndecodableImage("the PNG is cut off within its header")
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def _jpeg(data: bytes) -> tuple[int, int]:
    """Walk the segments to the frame header: ITU T.81, B.2.2."""
    position = 2
    while position + 9 <= len(data):
        prefix, marker = data[position], data[position + 1]
        if prefix != MARKER or marker == MARKER:
            # Fill bytes and strays between segments are skipped, as libjpeg does.
            position += 1
        elif marker in BARE_MARKERS:
            position += 2
        elif marker in START_OF_FRAME:
            height, width = data[position + 5 : position + 7], data[position + 7 : position + 9]
            return int.from_bytes(width), int.from_bytes(height)
        elif marker in END_OF_HEADERS:
            break
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4])
    raise UndecodableImage("the JPEG is cut off or broken within its headers")


def _webp(data: bytes) -> tuple[int, int]:
    """The first chunk carries the size: RFC 9649, 2.5 to 2.7."""
    if len(data) < WEBP_SIZE_END:
        raise UndecodableImage("the WebP is cut off within its header")
    read = {b"VP8 ": _webp_lossy, b"VP8L": _webp_lossless, b"VP8X": _webp_extended}
    if data[12:16] not in read:
        raise UndecodableImage("the WebP does not begin with an image chunk")
    return read[data[12:16]](data)


def _webp_lossy(data: bytes) -> tuple[int, int]:
    mask = 0x3FFF
    return (
        int.from_bytes(data[26:28], "little") & mask,
        int.from_bytes(data[28:30], "little") & mask,
    )


def _webp_lossless(data: bytes) -> tuple[int, int]:
    bits = int.from_bytes(data[21:25], "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _webp_extended(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1


SMALL_BODY_BYTES = 16 * 1024

SMALL_PIXELS = 128 * 128

# Chunks of a PNG that may hold far more than their size says.
COMPRESSED_EXTRAS = (b"zTXt", b"iTXt", b"iCCP")


def is_small(payload: Payload) -> bool:
    """Whether all images of a small body together are no larger than one icon.

    To decode that takes a fraction of a millisecond. A header that cannot be read is small too:
    what is wrong with it will be said at once.
    """
    if not isinstance(payload, list):
        return False
    pixels = 0
    for image in payload:
        if any(extra in image.data for extra in COMPRESSED_EXTRAS):
            return False
        try:
            pixels += read_header(bytes(image.data)).pixels
        except ImageError:
            return True
    return pixels <= SMALL_PIXELS
