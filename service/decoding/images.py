"""Encoded bytes to the pixels a model takes, within limits.

The three decoders are called by name: `Image.open` would try others, hand a phone's multi-picture
JPEG to a second one, and warn by a process-wide limit that is not ours.
"""

import struct
import zlib
from collections.abc import Mapping
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from models.errors import UndecodableImage
from models.manifest import InputSpec
from models.preprocessing import prepare
from service.decoding.image_headers import TAKEN, Format, read_header
from service.decoding.picture_sizes import check_size
from service.decoding.plain_png import open_plain

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
