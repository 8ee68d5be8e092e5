"""The inputs: paths, encoded bytes, PIL images and arrays, as what a request contains."""

import io
import os
import stat
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oodguard.client.errors import UnreadableImageError

ImageSource: TypeAlias = str | PathLike[str] | bytes | Image.Image | NDArray[np.uint8]
"""A path of an image file, an encoded image, a PIL image, or uint8 RGB pixels `(H, W, 3)`."""

Content: TypeAlias = bytes | NDArray[np.uint8]
"""An encoded image, or pixels `(H, W, 3)`."""

MAX_FILE_BYTES = 256 * 2**20
"""The most bytes of a file: 16 times what the service accepts by default."""

_NO_FILE = "the path is a pipe or a device, expected an image file"

_EXPECTED = "a path, encoded bytes, a PIL image, or a uint8 RGB array (H, W, 3)"

_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})

# The service converts these to RGB in the same way.
_CONVERTED = {
    "CMYK": "RGB",
    "HSV": "RGB",
    "LAB": "RGB",
    "RGBX": "RGB",
    "YCbCr": "RGB",
    "PA": "RGBA",
}


def name_of(image: object, index: int) -> str:
    """Return the path of an input, or `images[INDEX]`."""
    return os.fspath(image) if isinstance(image, str | PathLike) else f"images[{index}]"


def several(images: Iterable[ImageSource] | NDArray[np.uint8]) -> Iterable[ImageSource]:
    """Return the images of an iterable or of an array `(n, H, W, 3)`.

    Raises:
        TypeError: The argument is one image, or none.
    """
    one = isinstance(images, str | bytes | bytearray | memoryview | PathLike | Image.Image)
    if one or not isinstance(images, Iterable):
        raise TypeError(f"images is {type(images).__name__}, expected several images in a list")
    if isinstance(images, np.ndarray) and images.ndim != 4:
        raise TypeError(f"images is an array {images.shape}, expected (n, H, W, 3), or a list")
    return images


def read(image: ImageSource, index: int) -> Content:
    """Return an input as what a request contains; files are read, PIL images become PNGs.

    Raises:
        UnreadableImageError: A file that cannot be read, or an image that cannot be sent.
        TypeError: The object is none of the inputs.
    """
    name = name_of(image, index)
    try:
        if isinstance(image, bytes | bytearray | memoryview):
            return bytes(image)
        if isinstance(image, str | PathLike):
            return _file(Path(image))
        if isinstance(image, Image.Image):
            return _png_of_any(image)
        if isinstance(image, np.ndarray):
            return _pixels(image)
    except ValueError as error:
        raise UnreadableImageError(str(error), index=index, name=name) from error
    except OSError as error:
        kind = "file" if isinstance(image, str | PathLike) else "image"
        reason = error.strerror or str(error)
        raise UnreadableImageError(
            f"the {kind} cannot be read: {reason}", index=index, name=name
        ) from error
    raise TypeError(f"{name} is {type(image).__name__}, expected {_EXPECTED}")


def as_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode pixels `(H, W, 3)` without loss."""
    return _encode(Image.fromarray(pixels))


def _file(path: Path) -> bytes:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise ValueError("the path is a folder, expected an image file")
    if not stat.S_ISREG(mode):  # a socket cannot be opened
        raise ValueError(_NO_FILE)
    with open(path, "rb", opener=_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):  # reading it may have no end
            raise ValueError(_NO_FILE)
        if status.st_size > MAX_FILE_BYTES:
            raise ValueError(
                f"the file has {status.st_size} bytes, expected at most {MAX_FILE_BYTES}"
            )
        return file.read(status.st_size + 1)  # `read` allocates what it may return


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe that has taken its place would wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _pixels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(
            f"the array is {pixels.dtype} {pixels.shape}, expected uint8 (H, W, 3) in RGB"
        )
    return np.array(pixels, order="C")  # the caller may reuse its array before the request is sent


def _png_of_any(image: Image.Image) -> bytes:
    """Encode an image, whose file and metadata may be damaged; plug-ins raise errors of any type.

    Raises:
        ValueError: It cannot be encoded.
        OSError: Its file cannot be read.
    """
    try:
        return _png(image)
    except (OSError, ValueError):
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"the image cannot be encoded: {reason}") from error


def _png(image: Image.Image) -> bytes:
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise ValueError("the image is animated or has several pages, expected a single image")
    if 0 in image.size:
        raise ValueError(f"the image is {image.width}x{image.height}, expected at least 1x1")
    image.load()
    if image.mode in _PNG_MODES:
        return _encode(image)
    if image.mode not in _CONVERTED:
        raise ValueError(
            f"the pixel mode is {image.mode}, expected one of"
            f" {', '.join(sorted({*_PNG_MODES, *_CONVERTED}))}: convert the image"
        )
    return _encode(image.convert(_CONVERTED[image.mode]))


def _encode(image: Image.Image) -> bytes:
    # The service rotates an image upright by its EXIF record.
    record = image.info.get("exif", b"")
    buffer = io.BytesIO()
    image.save(
        buffer, "PNG", compress_level=1, icc_profile=None, **({"exif": record} if record else {})
    )
    return buffer.getvalue()
