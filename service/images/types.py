"""The types of a request body on its way to pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oodguard.service.images.header import EncodedImage

if TYPE_CHECKING:  # not needed by `Scorer`, and slow to import
    from oodguard.service.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestLimits:
    """Limits of one request."""

    max_body_bytes: int
    max_images: int
    max_pixels: int

    @classmethod
    def of(cls, settings: "Settings") -> Self:
        """Return the limits in the settings."""
        return cls(
            max_body_bytes=settings.max_body_bytes,
            max_images=settings.max_images,
            max_pixels=settings.max_pixels,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """A request body, and the headers that determine how to parse it.

    Attributes:
        data: The bytes.
        content_type: One of `images.body.PARSERS`.
        options: The parameters of Content-Type.
        shape: The header X-Shape.
        timeout_s: A timeout from now on that the body requests, if it does.
    """

    data: bytes
    content_type: str
    options: Mapping[bytes, bytes]
    shape: str | None
    timeout_s: float | None = None


Payload: TypeAlias = Sequence[EncodedImage] | NDArray[np.uint8]
"""Encoded images, or raw pixels `(n, H, W, 3)` RGB."""
