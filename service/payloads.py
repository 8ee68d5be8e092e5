"""The four ways in which images arrive: one parser per content type."""

import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray
from python_multipart.multipart import parse_options_header

from models.errors import ImageTooLarge, UndecodableImage
from service.errors import (
    ImageRefused,
    MalformedBody,
    TooManyImages,
    UnsupportedContent,
    WrongFields,
)
from service.multipart import read_files

CHANNELS = 3
# Nine digits a number: nothing that fits can overflow a 64-bit product of four after the checks.
SHAPE = re.compile(r"\s*(\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
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
    """A request body with the headers that say how to read it."""

    data: bytes
    content_type: str
    options: Mapping[bytes, bytes]
    shape: str | None


Payload: TypeAlias = Sequence[Encoded] | NDArray[np.uint8]
"""Encoded images, or raw pixels `(n, H, W, 3)` RGB."""

Parser: TypeAlias = Callable[[Body, Limits], Payload]


def content_type(header: str | None) -> tuple[str, Mapping[bytes, bytes]]:
    """Split a Content-Type header into a known type and its options.

    Raises:
        UnsupportedContent: Missing or not one of `PARSERS`.
    """
    name, options = parse_options_header(header)
    known = name.decode("latin-1").lower()
    if known not in PARSERS:
        came = f"content type {known[:128]!r}" if known else "no content type"
        raise UnsupportedContent(f"{came} came; send one of {', '.join(PARSERS)}")
    return known, options


def parse(body: Body, limits: Limits) -> Payload:
    """Take a body apart by its content type; nothing is decoded yet.

    Raises:
        RequestError: What is wrong with the body, by the tree in `service.errors`.
    """
    return PARSERS[body.content_type](body, limits)


def _files(body: Body, limits: Limits) -> Payload:
    boundary = body.options.get(b"boundary")
    if not boundary:
        raise MalformedBody("the content type multipart/form-data came without its boundary")
    parts = read_files(body.data, boundary, max_files=limits.max_images)
    return [Encoded(data=part.data, name=part.name) for part in parts]


def _json(body: Body, limits: Limits) -> Payload:
    try:
        value = orjson.loads(body.data)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"the body is not JSON: {error}") from error
    wanted = 'send {"images": ["<base64>", ...]}'
    if not isinstance(value, dict):
        raise WrongFields(f"a JSON {type(value).__name__} came; {wanted}")
    if set(value) != {"images"}:
        fields = ", ".join(sorted(value))[:128] or "none"
        raise WrongFields(f"the fields {fields} came; {wanted}")
    images = value["images"]
    if not isinstance(images, list) or not images:
        raise WrongFields(f"'images' is not a list of at least one string; {wanted}")
    if len(images) > limits.max_images:
        raise TooManyImages(
            f"{len(images)} images came; send at most {limits.max_images} a request"
        )
    return [_base64(image, index) for index, image in enumerate(images)]


def _base64(text: object, index: int) -> Encoded:
    if not isinstance(text, str):
        raise WrongFields(
            f"image {index} is a JSON {type(text).__name__}; a base64 string is wanted"
        )
    try:
        return Encoded(data=binascii.a2b_base64(text, strict_mode=True) if text else b"")
    except ValueError as error:
        cause = UndecodableImage(
            f"not base64 ({error}); the standard alphabet with padding and without line breaks "
            "is wanted"
        )
        raise ImageRefused(cause, index=index, name=None) from error


def _encoded(body: Body, _limits: Limits) -> Payload:
    return [Encoded(data=body.data)]


def _pixels(body: Body, limits: Limits) -> Payload:
    n, height, width = _shape(body.shape)
    if n > limits.max_images:
        raise TooManyImages(f"{n} images came; send at most {limits.max_images} a request")
    if height * width > limits.max_pixels:
        cause = ImageTooLarge(
            f"{width} x {height} pixels came; at most {limits.max_pixels} are taken"
        )
        raise ImageRefused(cause, index=0, name=None)
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


PARSERS: Mapping[str, Parser] = {
    "multipart/form-data": _files,
    "application/json": _json,
    "image/jpeg": _encoded,
    "image/png": _encoded,
    "image/webp": _encoded,
    "application/octet-stream": _pixels,
}
