"""Read pictures: the endings that are read, and pixels of the size of the network."""

import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from threading import Condition

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from oodguard.models.counts import count_of
from oodguard.models.errors import ImageError, RecipeError
from oodguard.models.manifest import InputSpec
from oodguard.models.preprocessing import DAMAGED, prepare
from oodguard.sources.listing import Encoded, Listing, name_all
from oodguard.sources.source_options import way_to_set
from oodguard.sources.special_file import is_special

NOT_READ = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""Formats that Pillow identifies but cannot decode by itself."""

UNREADABLE = (*DAMAGED, ImageError, Image.DecompressionBombError)

Size = tuple[int, int]
"""The width and the height of a picture."""

NO_SIZE: Size = (0, 0)

CHUNK = 64
"""The number of encoded images that are in memory at a time, at most."""

CHUNK_BYTES = 2**26
"""The size of these images together, unless one is larger."""

MAX_PIXELS = 2**27
"""The number of pixels that are decoded at a time, unless one picture has more."""


class _Pixels:
    """Bounds the memory of decoding: 8 pictures of 169 million pixels took 7 GB together."""

    def __init__(self) -> None:
        self._decoding = 0
        self._changed = Condition()

    @contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Wait until there is room for a picture with this number of pixels."""
        with self._changed:
            self._changed.wait_for(
                lambda: not self._decoding or self._decoding + count <= MAX_PIXELS
            )
            self._decoding += count
        try:
            yield
        finally:
            with self._changed:
                self._decoding -= count
                self._changed.notify_all()


@cache
def picture_endings() -> frozenset[str]:
    """Return the endings of the formats that Pillow and the installed plugins read."""
    register_plugins()
    readable = set(Image.OPEN) - NOT_READ
    return frozenset(key for key, name in Image.registered_extensions().items() if name in readable)


@cache
def register_plugins() -> None:
    """Register the formats of Pillow, and HEIC where pillow-heif is installed."""
    Image.init()
    try:
        from pillow_heif import register_heif_opener  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        return
    register_heif_opener()


def decode_all(
    listing: Listing, spec: InputSpec, sizes: dict[int, Size] | None = None
) -> Iterator[tuple[int, NDArray[np.uint8] | str]]:
    """Yield the position and the pixels `(H, W, 3)` of every picture of a listing, in order.

    The reason takes the place of the pixels of a picture that cannot be read. `sizes` receives the
    size in the header of each other picture by its position, before that picture is yielded.

    Raises:
        RecipeError: Pictures cannot be read, and the listing does not leave them out. The error
            names all of them, after the last picture.
    """
    register_plugins()
    broken: dict[str, str] = {}
    pixels = _Pixels()
    pictures = iter(listing.pictures())
    position = 0
    with ThreadPoolExecutor() as pool:
        while chunk := next_chunk(pictures):
            encoded = [each for _, each in chunk]
            results = pool.map(lambda each: _decode(each, spec, pixels), encoded)
            for (name, _), (result, size) in zip(chunk, results, strict=True):
                if isinstance(result, str):
                    broken[name] = result
                elif sizes is not None:
                    sizes[position] = size
                yield position, result
                position += 1
    if broken and not listing.skip_broken:
        raise RecipeError(
            f"{listing.location}: cannot read {len(broken):,} of"
            f" {count_of(len(listing), 'image')}:\n{name_all(broken)}\n"
            f"Repair or remove them, or leave them out with {way_to_set('skip_broken', 'true')}"
        )


def next_chunk(pictures: Iterator[tuple[str, Encoded]]) -> list[tuple[str, Encoded]]:
    """Return the next pictures, up to the one at which they reach `CHUNK_BYTES`."""
    chunk: list[tuple[str, Encoded]] = []
    size = 0
    for name, encoded in islice(pictures, CHUNK):
        chunk.append((name, encoded))
        size += len(encoded) if isinstance(encoded, bytes) else 0
        if size >= CHUNK_BYTES:
            break
    return chunk


def header_sizes(listing: Listing, positions: NDArray[np.int64]) -> list[Size] | None:
    """Return the width and height in the headers of the pictures at some positions of a listing.

    The pixels are not decoded. None: a picture can no longer be read.
    """
    order = np.argsort(positions, kind="stable")
    sizes = [NO_SIZE] * len(order)
    for place, (_, encoded) in zip(order, listing.select(positions[order]).pictures(), strict=True):
        if encoded is None:
            return None
        try:
            with Image.open(
                io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded
            ) as image:
                sizes[place] = image.size
        except UNREADABLE:
            return None
    return sizes


def reason_of(message: str) -> str:
    """Return the reason why a picture cannot be read without its numbers, to count equal ones."""
    return re.sub(r"\d+", "N", message)


def _decode(
    encoded: Encoded, spec: InputSpec, pixels: _Pixels
) -> tuple[NDArray[np.uint8] | str, Size]:
    """Return the prepared pixels and the size in the header, or the reason why there are none."""
    if encoded is None:
        return "the row has no image", NO_SIZE
    if isinstance(encoded, Path) and is_special(encoded):
        return "the path is a pipe or a device, not a file", NO_SIZE
    try:
        with Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded) as image:
            size = image.size  # `prepare` may turn the image
            with pixels.hold(size[0] * size[1]):
                return prepare(image, spec), size
    except UnidentifiedImageError:
        return "the file is not an image of a format that can be read", NO_SIZE
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return reason, NO_SIZE
