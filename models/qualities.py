"""Measure an image itself: brightness, contrast, sharpness, noise, blank parts, aspect and size.

The calibration images are measured by this code when a bundle is made, and rejected images by the
service, on the pixels that the graph gets. A definition never changes under its name: bundles hold
the values.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]

PIXEL_QUALITIES = ("brightness", "contrast", "sharpness", "noise", "blank")
SIZE_QUALITIES = ("aspect", "size")

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""The luma of RGB (ITU-R BT.601)."""

_LONGEST = 512
"""Of an image with a longer side, every second, third, ... row and column is measured."""

_ONES = np.ones(_LONGEST**2, np.float32)
"""A product with them is a sum."""

_PIXELS = 2**17
"""The number of pixels of small images that are measured at a time, each in up to 40 bytes."""

_SMALL_PIXELS = 2**13
"""Larger images take less time one by one, where their intermediate results stay in the cache."""

# Added to ratios of differences, in levels, so that a constant image has a finite value.
_ENERGY_FLOOR, _LEVEL_FLOOR = 0.1, 0.5

_BLANK_ENERGY = 0.25**2
"""The largest mean square, in levels, of the differences within a row that is blank."""


def qualities(images: Pixels) -> Values:
    """Return the `PIXEL_QUALITIES` `(n, 5)` of images `(n, H, W, 3)`, uint8 RGB.

    With the luma Y, d_k the differences of pixels at distance k in a row or a column, and E the
    mean in both directions, added:

    - brightness: the mean of Y, 0 to 255;
    - contrast: the standard deviation of Y, 0 to 127.5;
    - sharpness: E d_1^2 / E d_2^2, which does not depend on the contrast: 1/4 for a linear slope,
      1 for independent pixels. Blur lowers it. The ratio of a variation to one at a coarser scale
      as in Crete et al. 2007, "The blur effect", without its filter;
    - noise: E |d_xy| / root of E d_1^2, where d_xy is the difference in a column of the differences
      in a row. That difference has little of edges and all of the noise (Immerkaer 1996, "Fast
      noise variance estimation"; Donoho and Johnstone 1994), and its mean absolute value gives
      little weight to the pixels at edges;
    - blank: the share of rows, or of columns if that is larger, within which Y is constant.
    """
    step = _step(images.shape[1:])
    if step > 1:
        images = images[:, ::step, ::step]
    pixels = images.shape[1] * images.shape[2]
    if len(images) <= 1 or pixels > _SMALL_PIXELS:
        rows = [image_qualities(image) for image in images]
        return np.array(rows, np.float32).reshape(-1, len(PIXEL_QUALITIES))
    count = _PIXELS // pixels
    if len(images) <= count:
        return _measure_batch(images)
    parts = (images[start : start + count] for start in range(0, len(images), count))
    return np.concatenate([_measure_batch(part) for part in parts])


def image_qualities(image: Pixels) -> tuple[float, float, float, float, float]:
    """Return the `PIXEL_QUALITIES` of one image `(H, W, 3)`, faster than in a batch of one.

    A request waits for it. Nearly all sums are products of BLAS: each further kind of call costs
    microseconds, because its code is not in the cache of the CPU after a run of the graph.
    """
    step = _step(image.shape)
    if step > 1:
        image = image[::step, ::step]
    height, width, _ = image.shape
    flat = image.reshape(-1, 3).dot(_LUMA)
    mean = _total(flat) / flat.size
    contrast = _energy_of(flat - np.float32(mean)) ** 0.5
    luma = flat.reshape(height, width)
    across = luma[:, 1:] - luma[:, :-1]
    down = luma[1:] - luma[:-1]
    far = _energy_of(luma[:, 2:] - luma[:, :-2]) + _energy_of(luma[2:] - luma[:-2])
    mixed = (across[1:] - across[:-1]).ravel()
    rough = _total(np.abs(mixed, out=mixed)) / max(mixed.size, 1)
    in_rows = (across * across).dot(_ONES[: width - 1]).tolist()
    in_columns = _ONES[: height - 1].dot(down * down).tolist()
    near = sum(in_rows) / max(across.size, 1) + sum(in_columns) / max(down.size, 1)
    return (
        mean,
        contrast,
        (near + _ENERGY_FLOOR) / (far + 2 * _ENERGY_FLOOR),
        (rough + _LEVEL_FLOOR) / (near**0.5 + 2 * _LEVEL_FLOOR),
        max(_blank_share(in_rows, width - 1), _blank_share(in_columns, height - 1)),
    )


def _step(shape: tuple[int, ...]) -> int:
    """Return the distance of the rows and columns that are measured of an image `(H, W, 3)`."""
    return -(-max(shape[:2]) // _LONGEST)


def _measure_batch(images: Pixels) -> Values:
    n, height, width, _ = images.shape
    luma = images.reshape(-1, 3).astype(np.float32).dot(_LUMA).reshape(n, height * width)
    values = np.empty((n, len(PIXEL_QUALITIES)), np.float32)
    values[:, 0] = mean = _sum(luma, 1) / (height * width)
    centred = luma - mean[:, None]
    values[:, 1] = (_energy(centred)) ** 0.5
    luma = luma.reshape(n, height, width)
    across = luma[:, :, 1:] - luma[:, :, :-1]
    down = luma[:, 1:] - luma[:, :-1]
    in_rows = np.einsum("nij,nij->ni", across, across)
    in_columns = np.einsum("nij,nij->nj", down, down)
    near = _sum(in_rows, 1) / max(height * (width - 1), 1)
    near += _sum(in_columns, 1) / max((height - 1) * width, 1)
    far = _energy(luma[:, :, 2:] - luma[:, :, :-2]) + _energy(luma[:, 2:] - luma[:, :-2])
    values[:, 2] = (near + _ENERGY_FLOOR) / (far + 2 * _ENERGY_FLOOR)
    mixed = (across[:, 1:] - across[:, :-1]).reshape(n, -1)
    rough = _sum(np.abs(mixed, out=mixed), 1) / max(mixed.shape[1], 1)
    values[:, 3] = (rough + _LEVEL_FLOOR) / (near**0.5 + 2 * _LEVEL_FLOOR)
    blank_rows = _sum(in_rows <= _BLANK_ENERGY * max(width - 1, 1), 1) / height
    blank_columns = _sum(in_columns <= _BLANK_ENERGY * max(height - 1, 1), 1) / width
    values[:, 4] = np.maximum(blank_rows, blank_columns)
    return values


def size_qualities(width: int, height: int) -> tuple[float, float]:
    """Return the `SIZE_QUALITIES` of an image file, from the sides in its header, in pixels.

    - aspect: width / height;
    - size: the root of width x height.
    """
    return width / height, (width * height) ** 0.5


def measure(images: Pixels, sizes: Sequence[tuple[int, int]] | None = None) -> dict[str, Values]:
    """Return every quantity `(n,)` of n images by its name, for `CalibrationRows.qualities`.

    Args:
        images: Images `(n, H, W, 3)`, uint8 RGB, as the graph gets them.
        sizes: The width and height in the header of each image file; None: unknown.
    """
    measured = dict(zip(PIXEL_QUALITIES, qualities(images).T, strict=True))
    if sizes is not None:
        sides = np.array([size_qualities(*each) for each in sizes], np.float32)
        measured |= zip(SIZE_QUALITIES, sides.reshape(-1, len(SIZE_QUALITIES)).T, strict=True)
    return measured


_sum = np.add.reduce  # the method `sum` takes three times as long for a small image


def _total(values: Values) -> float:
    """Return the sum of `(n,)` values of one image."""
    return float(values.dot(_ONES[: values.size]))


def _blank_share(energies: list[float], pairs: int) -> float:
    """Return the share of rows that are blank, from the sums of `pairs` squared differences."""
    limit = _BLANK_ENERGY * max(pairs, 1)
    return len([1 for energy in energies if energy <= limit]) / len(energies)


def _energy_of(differences: Values) -> float:
    """Return the mean square of one image, or 0 without pixels."""
    flat = differences.ravel()
    return float(flat.dot(flat)) / max(flat.size, 1)


def _energy(differences: Values) -> Values:
    """Return the mean square `(n,)` of n images, or 0 without pixels."""
    flat = differences.reshape(len(differences), -1)
    squares: Values = np.einsum("ni,ni->n", flat, flat) / max(flat.shape[1], 1)
    return squares
