"""What a parser is given, and what it makes of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestLimits:
    """What one request may ask for."""

    max_body_bytes: int
    max_images: int
    max_pixels: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """One image as a file's bytes, and the name it came with."""

    data: bytes | bytearray
    name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """A request body with the headers that say how to read it.

    `timeout_s` is the time from now on that the body itself asks for, if it does.
    """

    data: bytes
    content_type: str
    options: Mapping[bytes, bytes]
    shape: str | None
    timeout_s: float | None = None


Payload: TypeAlias = Sequence[Encoded] | NDArray[np.uint8]
"""Encoded images, or raw pixels `(n, H, W, 3)` RGB."""

Parser: TypeAlias = Callable[[Body, RequestLimits], Payload]
