"""The memory that decoding an image takes at most, by its header.

tests/service/images/test_decode_memory.py measures the peak of every format and mode. The figures
follow from the buffers of the decoders:

- Pillow stores at most 4 bytes a pixel. Unless it is an upright RGB image, it is copied as one.
- libjpeg also keeps 2 bytes for each coefficient if the pixels are spread over several scans: at
  most 4 + 4 x 2 bytes a pixel (CMYK without subsampling), which it frees before the copy.
- libwebp has two canvases of 4 bytes a pixel while its frame of as many bytes is copied.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import PngImagePlugin

from oodguard.models.errors import ImageTooLarge
from oodguard.models.manifest import InputSpec
from oodguard.models.preprocessing import BAND_PIXELS
from oodguard.service.images.header import (
    MAX_SIDE,
    EncodedImage,
    ImageFormat,
    ImageHeader,
    check_size,
)

PIXEL_BYTES: Mapping[ImageFormat, int] = {"JPEG": 8, "PNG": 8, "WEBP": 12}

FILE_COPIES: Mapping[ImageFormat, int] = {"JPEG": 4, "PNG": 2, "WEBP": 2}
"""Copies of a file, or of its segments and chunks: Pillow keeps each segment of a JPEG, divides and
joins the parts of a colour profile, and the file is read once more if it has the model's size."""

COEFFICIENT_BYTES = 2
"""Of each component of a pixel, if a JPEG has several scans and does not subsample it."""

MAX_PIXEL_BYTES = 10
"""An image that takes more for a pixel has a lower limit of pixels: the memory limits it."""

RAW_PIXEL_BYTES = 7
"""A copy of the 3 bytes a pixel, and Pillow's 4."""

CONVERSION_BYTES = 24 * BAND_PIXELS
"""The conversions of one band: RGBA, white, the composition and RGB, or 16 bits."""

PREPARED_PIXEL_BYTES = 9
"""Copies of the model's pixels, 3 bytes each: Pillow's blocks, the bytes and the array."""

MAX_TEXT_CHARACTERS = 8 * 2**20
"""Maximum length of all compressed texts of a PNG. Pillow's own limit is eight times as high."""

TEXT_BYTES = 5 * MAX_TEXT_CHARACTERS
"""A character takes up to 4 bytes, and Pillow notices an excess after one text of 1 MiB."""

COMPRESSED_CHUNKS = (b"zTXt", b"iTXt", b"iCCP")
"""PNG chunks whose content may be much larger than their size in the file."""


def has_compressed_chunks(image: EncodedImage) -> bool:
    """Return whether a file may contain more text than it has bytes."""
    return any(chunk in image.data for chunk in COMPRESSED_CHUNKS)


def pixel_bytes(header: ImageHeader) -> int:
    """Return the memory that decoding a pixel takes at most, in bytes."""
    scans = COEFFICIENT_BYTES * header.scanned_components
    return max(PIXEL_BYTES[header.format], 4 + scans)


def check_image_size(header: ImageHeader, max_pixels: int) -> None:
    """Check the claimed size of an image by its pixels, and by the memory of decoding them.

    Raises:
        ImageTooLarge: Too many pixels, too many for their format, or too long a side.
    """
    width, height, size = header.width, header.height, pixel_bytes(header)
    check_size(width, height, max_pixels)
    if size * width * height > MAX_PIXEL_BYTES * max_pixels:
        kind = "CMYK JPEG of several scans" if header.format == "JPEG" else header.format
        raise ImageTooLarge(
            f"the {kind} has {width} x {height} = {width * height} pixels, expected at most"
            f" {MAX_PIXEL_BYTES * max_pixels // size} for this format, which takes {size} bytes of"
            " memory a pixel: send fewer pixels, a baseline JPEG or a PNG"
        )


def decode_bytes(image: EncodedImage | NDArray[np.uint8], spec: InputSpec) -> int:
    """Return the memory that decoding and resizing an image takes at most, in bytes.

    Raises:
        ImageError: The header is invalid.
    """
    if not isinstance(image, EncodedImage):
        height, width = (int(side) for side in image.shape[:2])
        return RAW_PIXEL_BYTES * width * height + _resize_bytes(width, height, spec)
    header = image.header
    texts = TEXT_BYTES if header.format == "PNG" and has_compressed_chunks(image) else 0
    pixels = header.width * header.height
    return (
        pixel_bytes(header) * pixels
        + texts
        + FILE_COPIES[header.format] * len(image.data)
        + _resize_bytes(header.width, header.height, spec)
    )


def largest_decode_bytes(spec: InputSpec, *, max_pixels: int, max_bytes: int) -> int:
    """Return the largest value of `decode_bytes` within the limits of an image and its file."""
    pixels = max(PIXEL_BYTES["PNG"] * max_pixels + TEXT_BYTES, MAX_PIXEL_BYTES * max_pixels)
    # The longest side that `_resize_bytes` counts: that of a strip, or where its terms are equal.
    square = math.isqrt(2 * _ratio(spec) * max_pixels) + 1
    longest = square if spec.fit == "crop" else MAX_SIDE
    resize = 4 * max(spec.width, spec.height) * min(longest, MAX_SIDE, max_pixels)
    files = max(FILE_COPIES.values()) * max_bytes
    return pixels + files + CONVERSION_BYTES + resize + _prepared_bytes(spec)


def limit_png_texts() -> None:
    """Set Pillow's limit on the compressed texts of a PNG, which is one for the whole process."""
    PngImagePlugin.MAX_TEXT_MEMORY = MAX_TEXT_CHARACTERS


def _resize_bytes(width: int, height: int, spec: InputSpec) -> int:
    """Return the memory of converting a band, of resizing one side, and of the prepared pixels."""
    longer, shorter = max(width, height), min(width, height)
    if spec.fit == "crop":
        # The window, and the pixels around it that resizing reads.
        longer = min(longer, 2 * shorter * _ratio(spec))
    conversion = min(24 * width * height, CONVERSION_BYTES)
    return conversion + 4 * max(spec.width, spec.height) * longer + _prepared_bytes(spec)


def _prepared_bytes(spec: InputSpec) -> int:
    return PREPARED_PIXEL_BYTES * spec.width * spec.height


def _ratio(spec: InputSpec) -> int:
    return math.ceil(max(spec.width, spec.height) / min(spec.width, spec.height))
