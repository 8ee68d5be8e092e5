"""Any decoded image to the pixels that a model takes; training and service share this function."""

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from oodguard.models.errors import UndecodableImage, UnsupportedImage
from oodguard.models.manifest import InputSpec

Box = tuple[float, float, float, float]  # left, upper, right, lower in pixels of the source

WHITE_16 = 65535

SIXTEEN_BIT = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})

EIGHT_BIT = frozenset(
    {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
)

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
"""What sets an image upright, by its EXIF orientation; 1 and unknown ones stand already."""

DAMAGED = (EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error)
"""What Pillow's parsers raise on damaged bytes, found by feeding them some."""

RESAMPLE: Mapping[str, Image.Resampling] = MappingProxyType(
    {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
)


def prepare(image: Image.Image, spec: InputSpec) -> NDArray[np.uint8]:
    """Bring an image to `(H, W, 3)` uint8 RGB by the rule of `spec`.

    Turned as its EXIF says, transparency laid over white, then resized; an image that has the
    wanted size keeps its pixels exactly.

    Raises:
        UnsupportedImage: an animation, or pixels of a kind that has no one meaning as a colour.
        UndecodableImage: the bytes behind the first frame are damaged.
        OSError: the image was opened lazily, and Pillow cannot decode it.
    """
    if _is_animated(image):
        raise UnsupportedImage("the image is animated or has several pages; one picture is wanted")
    image.load()  # Here, so that broken pixels are not taken for broken metadata further on.
    rgb = _over_white(_eight_bit(_upright(image)))
    box = FITS[spec.fit](rgb.size, spec)
    # Crop and resize in one step: scaling a 1 x 60000 strip first would take gigabytes.
    resized = rgb.resize((spec.width, spec.height), RESAMPLE[spec.resample], box=box)
    return np.array(resized, dtype=np.uint8)


def _is_animated(image: Image.Image) -> bool:
    # A phone's photograph may carry a depth map or preview behind it (MPO); it is no animation.
    if image.format == "MPO":
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    except DAMAGED as error:
        raise UndecodableImage(
            f"the image is damaged behind its first frame ({error}); a whole file is wanted"
        ) from error


def _upright(image: Image.Image) -> Image.Image:
    # A picture with damaged metadata is still a picture: viewers show it as it lies.
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except DAMAGED:
        return image
    turn = UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode in EIGHT_BIT:
        return image
    if image.mode not in SIXTEEN_BIT:
        raise UnsupportedImage(f"pixels of mode {image.mode} came; 8-bit or 16-bit ones are wanted")
    values = np.asarray(image)
    if values.min() < 0 or values.max() > WHITE_16:
        raise UnsupportedImage(
            f"integer pixels from {values.min()} to {values.max()} came; 0 to {WHITE_16} is wanted"
        )
    # Pillow's own conversion clips at 255, which turns nearly every 16-bit picture white.
    grey = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    grey[values == image.info.get("transparency")] = 255
    return Image.fromarray(grey)


def _over_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        # A conversion copies, also where there is nothing to convert.
        return image if image.mode == "RGB" else image.convert("RGB")
    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours).convert("RGB")


def _crop(size: tuple[int, int], spec: InputSpec) -> Box:
    """Return the largest centred box of the wanted aspect."""
    width, height = size
    wide = min(width, height * spec.width / spec.height)
    high = min(height, width * spec.height / spec.width)
    left, upper = (width - wide) / 2, (height - high) / 2
    return left, upper, left + wide, upper + high


def _stretch(size: tuple[int, int], spec: InputSpec) -> Box:  # noqa: ARG001
    return 0, 0, *size


FITS: Mapping[str, Callable[[tuple[int, int], InputSpec], Box]] = MappingProxyType(
    {"crop": _crop, "stretch": _stretch}
)
