"""A payload to the pixels that the model reads."""

from collections.abc import Callable
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import ImageError
from models.manifest import InputSpec
from models.preprocessing import prepare
from service.decoding.images import read_image
from service.errors import DeadlineExceeded, ImageRefused
from service.payloads.types import Encoded, Limits, Payload


def fits(payload: Payload, spec: InputSpec) -> TypeGuard[NDArray[np.uint8]]:
    """Whether a payload already is what the model reads."""
    return isinstance(payload, np.ndarray) and payload.shape[1:3] == (spec.height, spec.width)


def to_pixels(
    payload: Payload, spec: InputSpec, limits: Limits, given_up: Callable[[], object]
) -> NDArray[np.uint8]:
    """Bring every image of a request to the model's size.

    Args:
        payload: Encoded images, or raw pixels of any size.
        spec: The size and the rule, from the manifest.
        limits: What an image may ask for.
        given_up: Says, before each image, whether anybody still waits for it.

    Returns:
        `(n, H, W, 3)` RGB.

    Raises:
        ImageRefused: The first image that cannot be judged, by its place.
        DeadlineExceeded: Nobody waits any more.
    """
    if fits(payload, spec):
        return payload
    pixels = np.empty((len(payload), spec.height, spec.width, 3), np.uint8)
    for index, image in enumerate(payload):
        if given_up():
            raise DeadlineExceeded(f"{index} of {len(payload)} images were decoded in time")
        pixels[index] = _one(image, spec, limits, index)
    return pixels


def _one(
    image: Encoded | NDArray[np.uint8], spec: InputSpec, limits: Limits, index: int
) -> NDArray[np.uint8]:
    if not isinstance(image, Encoded):
        return prepare(Image.fromarray(image), spec)
    try:
        return read_image(bytes(image.data), spec, max_pixels=limits.max_pixels)
    except ImageError as error:
        raise ImageRefused(error, index=index, name=image.name) from error
