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

_PIXELS = 2**18
"""The number of pixels that are measured at a time, each in up to 40 bytes."""

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
    step = -(-max(images.shape[1:3]) // _LONGEST)
    if step > 1:
        images = images[:, ::step, ::step]
    count = max(1, _PIXELS // (images.shape[1] * images.shape[2]))
    if len(images) <= count:
        return _measure(images)
    parts = (images[start : start + count] for start in range(0, len(images), count))
    return np.concatenate([_measure(part) for part in parts])


def _measure(images: Pixels) -> Values:
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


def _energy(differences: Values) -> Values:
    """Return the mean square `(n,)` of n images, or 0 without pixels."""
    flat = differences.reshape(len(differences), -1)
    squares: Values = np.einsum("ni,ni->n", flat, flat) / max(flat.shape[1], 1)
    return squares
