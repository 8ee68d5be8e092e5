"""Pictures on their way through the model's preprocessing."""

import io
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oodguard.models.manifest import InputSpec
from oodguard.models.preprocessing import prepare

RED, GREEN, BLUE, WHITE, BLACK = (
    [255, 0, 0],
    [0, 255, 0],
    [0, 0, 255],
    [255, 255, 255],
    [0, 0, 0],
)


def through(image: Image.Image, file_format: str, **options: Any) -> Image.Image:
    """Save and open again, for what only a file carries."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return Image.open(buffer)


def as_it_is(image: Image.Image) -> NDArray[np.uint8]:
    """Prepare for a model of the image's own size, so that no pixel is resampled."""
    return prepare(image, InputSpec(height=image.height, width=image.width))


def sized(
    height: int,
    width: int,
    fit: Literal["crop", "stretch", "letterbox"] = "crop",
    resample: Literal["bicubic", "bilinear"] = "bilinear",
    **more: Any,
) -> InputSpec:
    return InputSpec(height=height, width=width, fit=fit, resample=resample, **more)
