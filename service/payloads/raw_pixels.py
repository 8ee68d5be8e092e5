"""Raw RGB pixels, with their shape in a header."""

import re

import numpy as np

from models.errors import ImageTooLarge
from service.decoding.picture_sizes import check_size
from service.errors import ImageRefused, TooManyImages, WrongFields
from service.payloads.types import Body, Limits, Payload

CHANNELS = 3
# Nine digits a number: nothing that fits can overflow a 64-bit product of four after the checks.
SHAPE = re.compile(r"\s*(\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*", re.ASCII)


def read_pixels(body: Body, limits: Limits) -> Payload:
    """View the body as the images that X-Shape says; nothing is copied.

    Raises:
        WrongFields: X-Shape is missing, or does not fit the body.
        TooManyImages: More than the limit.
        ImageRefused: Images of more pixels, or longer sides, than the limit.
    """
    n, height, width = _shape(body.shape)
    if n > limits.max_images:
        raise TooManyImages(f"{n} images came; send at most {limits.max_images} a request")
    try:
        check_size(width, height, limits.max_pixels)
    except ImageTooLarge as error:
        raise ImageRefused(error, index=0, name=None) from error
    expected = n * height * width * CHANNELS
    if len(body.data) != expected:
        raise WrongFields(
            f"{len(body.data)} bytes came; X-Shape {n},{height},{width},3 wants {expected}"
        )
    return np.frombuffer(body.data, np.uint8).reshape(n, height, width, CHANNELS)


def _shape(header: str | None) -> tuple[int, int, int]:
    """Number, height and width from `n,H,W,3`, each at least 1."""
    wanted = "application/octet-stream wants the header X-Shape: n,H,W,3"
    if header is None:
        raise WrongFields(f"no X-Shape came; {wanted}")
    match = SHAPE.fullmatch(header)
    if match is None:
        raise WrongFields(f"X-Shape {header[:64]!r} came; {wanted}")
    n, height, width, channels = (int(number) for number in match.groups())
    if channels != CHANNELS or 0 in {n, height, width}:
        raise WrongFields(
            f"X-Shape {header[:64]!r} came; {wanted}, at least 1 image of at least 1 x 1 pixels"
        )
    return n, height, width
