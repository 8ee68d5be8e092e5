"""Decode pictures of every kind to pixels of the size of the model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oodguard.models.errors import ImageError, UndecodableImage, UnsupportedImage
from oodguard.models.manifest import InputSpec
from oodguard.models.preprocessing import DAMAGED, prepare
from oodguard.models.reasons import Size
from oodguard.service.images.decode import decode_image
from oodguard.service.images.header import EncodedImage, check_size
from oodguard.sources.special_file import is_special

TORCH = frozenset({"torch", "torchvision"})
"""The packages of tensors, which are not imported: they are extras."""

EXPECTED = "encoded bytes, a path, a PIL image, or a uint8 RGB array (H, W, 3)"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecodedBatch:
    """The pictures of a batch that can be decoded, and the errors of the others.

    Attributes:
        images: `(n, H, W, 3)` uint8 RGB of the size of the model.
        sizes: The width and height of each file or PIL image; None for arrays.
        positions: The position `(n,)` of each image in the batch.
        errors: The reason why a picture cannot be decoded, by its position.
    """

    images: NDArray[np.uint8]
    sizes: list[Size | None]
    positions: NDArray[np.int64]
    errors: Mapping[int, str]

    @property
    def rows(self) -> int:
        """The number of pictures in the batch."""
        return len(self.positions) + len(self.errors)


def decode_batch(pictures: Iterable[object], spec: InputSpec, *, max_pixels: int) -> DecodedBatch:
    """Decode the pictures of a batch; a picture that cannot be decoded is an error of its row.

    Args:
        pictures: Pictures as `pixels_of` takes them, or the `ImageError` of a picture that could
            not be read.
        spec: The input size and the resize rule, from the manifest.
        max_pixels: Maximum number of pixels of a picture.
    """
    images: list[NDArray[np.uint8]] = []
    sizes: list[Size | None] = []
    positions: list[int] = []
    errors: dict[int, str] = {}
    for position, picture in enumerate(pictures):
        try:
            pixels, size = pixels_of(picture, spec, max_pixels=max_pixels)
        except (ImageError, TypeError) as error:
            errors[position] = str(error)
        except MemoryError:
            errors[position] = "the memory does not suffice to decode the image"
        else:
            images.append(pixels)
            sizes.append(size)
            positions.append(position)
    empty = np.empty((0, spec.height, spec.width, 3), np.uint8)
    return DecodedBatch(
        images=np.stack(images) if images else empty,
        sizes=sizes,
        positions=np.array(positions, np.int64),
        errors=errors,
    )


def pixels_of(
    picture: object, spec: InputSpec, *, max_pixels: int
) -> tuple[NDArray[np.uint8], Size | None]:
    """Return the pixels `(H, W, 3)` that the model takes, and the size of the file or picture.

    Args:
        picture: Encoded bytes, a path, a PIL image, a uint8 RGB array `(H, W, 3)`, or a mapping
            with `bytes` or `path`, as `datasets` has it; or a uint8 tensor of torch `(3, H, W)`.
        spec: The input size and the resize rule, from the manifest.
        max_pixels: Maximum number of pixels of a picture.

    Raises:
        ImageError: Of the kind that applies.
        TypeError: The object is not a picture.
    """
    if type(picture).__module__.partition(".")[0] in TORCH:
        picture = _as_array(picture)
    if hasattr(picture, "as_py"):  # of Arrow, an extra
        picture = picture.as_py()
    if isinstance(picture, Mapping):
        data = picture.get("bytes")
        picture = picture.get("path") if data is None else data
    if isinstance(picture, str | PathLike):
        picture = _read(Path(picture))
    if isinstance(picture, bytes | bytearray | memoryview):
        encoded = EncodedImage(data=bytes(picture))
        pixels = decode_image(encoded, spec, max_pixels=max_pixels)
        return pixels, (encoded.header.width, encoded.header.height)
    if isinstance(picture, np.ndarray):
        return _resized(picture, spec, max_pixels), None
    if isinstance(picture, Image.Image):
        # Many are read from their file at the first access to their pixels.
        check_size(*picture.size, max_pixels)
        return _prepared(picture, spec), picture.size
    if isinstance(picture, ImageError):
        raise picture
    if picture is None:
        raise UndecodableImage("the row has no image")
    raise TypeError(f"the picture is a {type(picture).__name__}, expected {EXPECTED}")


def _read(path: Path) -> bytes:
    try:
        if is_special(path):
            raise ImageError("the path is a pipe or a device, expected an image file")
        return path.read_bytes()
    except IsADirectoryError as error:
        raise ImageError(f"the path is a folder, expected images, such as {path}/*.jpg") from error
    except OSError as error:
        raise ImageError(f"the file cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ImageError(f"the path is invalid: {error}") from error


def _as_array(tensor: Any) -> NDArray[np.uint8]:  # noqa: ANN401 - torch is not imported
    """Return a tensor `(3, H, W)`, as torch has pictures, as an array `(H, W, 3)`.

    A tensor of another shape is returned as it is.
    """
    try:
        array: NDArray[np.uint8] = tensor.numpy(force=True)
    except (RuntimeError, TypeError) as error:  # sparse, without data, or of a type of torch alone
        raise TypeError(
            f"the tensor is {tensor.dtype}, {tensor.layout} and on {tensor.device}, expected uint8"
            " (3, H, W) in RGB"
        ) from error
    return array.transpose(1, 2, 0) if array.ndim == 3 and len(array) == 3 else array


def _prepared(image: Image.Image, spec: InputSpec) -> NDArray[np.uint8]:
    if 0 in image.size:
        raise UnsupportedImage(f"the image is {image.width}x{image.height}, expected at least 1x1")
    try:
        return prepare(image, spec)
    except DAMAGED as error:  # ValueError: the image was closed
        raise UndecodableImage("the image is damaged, truncated or closed") from error


def _resized(pixels: NDArray[np.uint8], spec: InputSpec, max_pixels: int) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise UnsupportedImage(
            f"the array is {pixels.dtype} {pixels.shape}, expected uint8 (H, W, 3) in RGB"
        )
    if pixels.shape[:2] == (spec.height, spec.width):
        return pixels
    check_size(pixels.shape[1], pixels.shape[0], max_pixels)
    return prepare(Image.fromarray(np.ascontiguousarray(pixels)), spec)
