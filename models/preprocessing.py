"""Convert a decoded image to the input of a model, identically in training and service."""

import struct
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

from oodguard.models.errors import UndecodableImage, UnsupportedImage
from oodguard.models.jpeg import decode_jpeg
from oodguard.models.manifest import InputSpec

Box = tuple[float, float, float, float]  # left, upper, right, lower in pixels of the source
WHITE_16 = 65535
SIXTEEN_BIT = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})

EIGHT_BIT = frozenset(
    {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
)

MAX_PIXELS: Final = 25_000_000
"""The most pixels of an image in the Python API, as in the service by default."""

# Pixels of a large image that are converted at a time. The steps of a conversion take up to 20
# bytes for each.
BAND_PIXELS = 2**18

UPRIGHT: Mapping[int, Image.Transpose] = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)
"""The transformation to the upright position by EXIF orientation; others need none."""

SIDEWAYS = frozenset({5, 6, 7, 8})
"""The orientations that exchange width and height."""

FROM_THE_END = frozenset({3, 4, 7, 8})
"""The orientations whose first upright row is the last row or column of the file."""

MAX_EXIF_BYTES = 65_536
"""A JPEG's record fits into one segment of this size, and its orientation is near the start. Pillow
makes an object of each value: a record of 15 MB of fractions took 9 s and 570 MB."""

MAX_EXIF_CHARACTERS = 4 * MAX_EXIF_BYTES
"""Of the text in which some PNGs have the record: two hexadecimal digits a byte, and lines."""

DAMAGED = (
    EOFError,
    LookupError,
    OSError,
    RuntimeError,  # of AVIF
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""The exceptions of Pillow's parsers on damaged bytes, found by fuzzing."""

RESAMPLE: Mapping[str, Image.Resampling] = MappingProxyType(
    {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
)


def prepare(image: Image.Image, spec: InputSpec) -> NDArray[np.uint8]:
    """Return an image as `(H, W, 3)` uint8 RGB of the size of `spec`.

    The image is rotated by its EXIF orientation, composed over white where it is transparent, and
    resized. An image of the right size keeps its pixels exactly, unless the rule has a `resize`.

    Raises:
        UnsupportedImage: The image is animated, or its pixel mode has no unique colour meaning.
        UndecodableImage: The bytes after the first frame are damaged.
        Exception: Those of `DAMAGED`, if Pillow cannot decode a lazily opened image.
    """
    if _is_animated(image):
        raise UnsupportedImage(
            "the image is animated or has several pages, expected a single image"
        )
    if isinstance(image, JpegImageFile) and _keeps_pixels(image.size, spec):
        pixels = decode_jpeg(image) if _orientation(image) not in UPRIGHT else None
        if pixels is not None:
            return pixels
    image.load()  # Before the metadata, whose damage is tolerated below.
    _check_mode(image)
    orientation = _orientation(image)
    width, height = image.size[::-1] if orientation in SIDEWAYS else image.size
    rgb = _upright_rgb(image, orientation, (width, height))
    if _keeps_pixels(rgb.size, spec):
        return np.array(rgb, dtype=np.uint8)
    if spec.fit == "letterbox":
        return np.array(_letterbox(rgb, spec), dtype=np.uint8)
    box = _crop(rgb.size, spec) if spec.fit == "crop" else None
    # Crop and resize in one step: scaling a 1 x 60000 strip first would take gigabytes of memory.
    resized = rgb.resize((spec.width, spec.height), RESAMPLE[spec.resample], box=box)
    return np.array(resized, dtype=np.uint8)


def _is_animated(image: Image.Image) -> bool:
    # The further frames of an MPO photograph are depth maps or previews, not an animation.
    if image.format == "MPO":
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    except DAMAGED as error:
        raise UndecodableImage(
            "the image is damaged after its first frame, expected a complete file"
        ) from error


def _keeps_pixels(size: tuple[int, int], spec: InputSpec) -> bool:
    """Return whether an upright image of `size` is not resized."""
    return size == (spec.width, spec.height) and spec.resize is None


def _orientation(image: Image.Image) -> int:
    # Viewers show an image with damaged metadata without rotation.
    try:
        orientation = _exif(image).get(ExifTags.Base.Orientation, 1)
    except DAMAGED:
        return 1
    return orientation if orientation in UPRIGHT else 1


def _exif(image: Image.Image) -> Image.Exif:
    """Return the EXIF record, or what the first bytes of a very long one contain."""
    record = image.info.get("exif", b"")
    text = image.info.get("Raw profile type exif", "")
    if len(record) <= MAX_EXIF_BYTES and len(text) <= MAX_EXIF_CHARACTERS:
        return image.getexif()
    exif = Image.Exif()
    exif.load(record[:MAX_EXIF_BYTES])
    return exif


def _check_mode(image: Image.Image) -> None:
    if image.mode not in EIGHT_BIT | SIXTEEN_BIT:
        raise UnsupportedImage(f"the pixel mode is {image.mode}, expected 8-bit or 16-bit pixels")
    if image.mode == "I":
        low, high = cast("tuple[int, int]", image.getextrema())
        if low < 0 or high > WHITE_16:
            raise UnsupportedImage(
                f"the pixel values are {low} to {high}, expected 0 to {WHITE_16}"
            )


def _upright_rgb(image: Image.Image, orientation: int, size: tuple[int, int]) -> Image.Image:
    """Return an image as RGB in the upright position, which has `size`."""
    width, height = size
    unchanged = image.mode == "RGB" and not image.has_transparency_data
    if width * height <= BAND_PIXELS or (unchanged and orientation not in UPRIGHT):
        return _convert(image, orientation)
    rgb = Image.new("RGB", size)
    rows = max(1, BAND_PIXELS // width)
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        band = image.crop(_source(image, orientation, start, stop))
        rgb.paste(_convert(band, orientation), (0, start))
    return rgb


def _source(
    image: Image.Image, orientation: int, start: int, stop: int
) -> tuple[int, int, int, int]:
    """Return the part of the file's image that contains some rows of the upright image."""
    length = image.width if orientation in SIDEWAYS else image.height
    if orientation in FROM_THE_END:
        start, stop = length - stop, length - start
    if orientation in SIDEWAYS:
        return start, 0, stop, image.height
    return 0, start, image.width, stop


def _convert(image: Image.Image, orientation: int) -> Image.Image:
    turn = UPRIGHT.get(orientation)
    return _over_white(_eight_bit(image if turn is None else image.transpose(turn)))


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode in EIGHT_BIT:
        return image
    values = np.asarray(image)
    # Pillow's conversion clips at 255, which makes almost every 16-bit image white.
    grey = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    grey[values == image.info.get("transparency")] = 255
    return Image.fromarray(grey)


def _over_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        # A conversion copies the image even if the mode stays the same.
        return image if image.mode == "RGB" else image.convert("RGB")
    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours).convert("RGB")


def _crop(size: tuple[int, int], spec: InputSpec) -> Box:
    """Return the centred box that becomes the input.

    It is the largest box with the aspect ratio of `spec`. With `spec.resize` it covers what the
    centre crop of the scaled image covers, on the pixel grid of the scaled image: the result is
    that of torchvision's Resize and CenterCrop, up to rounding.
    """
    width, height = size
    if spec.resize is not None:
        shorter = min(size)
        # As in torchvision, the longer side is rounded down.
        scaled_width, scaled_height = (int(spec.resize * side / shorter) for side in size)
        x, y = width / scaled_width, height / scaled_height
        left = x * round((scaled_width - spec.width) / 2)
        upper = y * round((scaled_height - spec.height) / 2)
        right = min(left + x * spec.width, float(width))  # beyond the edge by rounding only
        lower = min(upper + y * spec.height, float(height))
        return left, upper, right, lower
    wide = min(width, height * spec.width / spec.height)
    high = min(height, width * spec.height / spec.width)
    left, upper = (width - wide) / 2, (height - high) / 2
    return left, upper, left + wide, upper + high


def _letterbox(image: Image.Image, spec: InputSpec) -> Image.Image:
    """Scale an image to fit into the input, and centre it on grey."""
    scale = min(spec.width / image.width, spec.height / image.height)
    width, height = (max(round(scale * side), 1) for side in image.size)
    resized = image.resize((width, height), RESAMPLE[spec.resample])
    canvas = Image.new("RGB", (spec.width, spec.height), (spec.fill, spec.fill, spec.fill))
    canvas.paste(resized, ((spec.width - width) // 2, (spec.height - height) // 2))
    return canvas
