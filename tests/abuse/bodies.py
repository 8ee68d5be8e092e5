"""Valid images and bodies, which the families damage; deterministic for a given generator."""

import base64
import json
import struct
import zlib
from collections.abc import Mapping

import numpy as np
from PIL import Image

from tests.service.pictures import encode, png_chunk

BOUNDARY = "b0undary"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
JSON = "application/json"
RAW = "application/octet-stream"


def noise(rng: np.random.Generator, side: int = 24) -> Image.Image:
    """Return an image that does not compress, so that every cut loses pixels."""
    return Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8))


def encodings(image: Image.Image) -> Mapping[str, tuple[str, bytes]]:
    """Return content type and bytes of the image in every accepted encoding, by name."""
    return {
        "png": ("image/png", encode(image, "PNG")),
        "jpeg": ("image/jpeg", encode(image, "JPEG")),
        "progressive jpeg": ("image/jpeg", encode(image, "JPEG", progressive=True)),
        "webp": ("image/webp", encode(image, "WEBP")),
        "lossless webp": ("image/webp", encode(image, "WEBP", lossless=True)),
    }


def png(*middle: bytes, side: int = 8, depth: int = 8, colour: int = 2) -> bytes:
    """Return a square PNG with these chunks between its header and its end."""
    start = b"\x89PNG\r\n\x1a\n" + png_header(
        struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0)
    )
    return start + b"".join(middle) + png_chunk(b"IEND", b"")


def png_header(content: bytes) -> bytes:
    """Return the first chunk."""
    return png_chunk(b"IHDR", content)


BLACK = png_chunk(b"IDAT", zlib.compress(bytes(8 * (1 + 8 * 3))))
"""The pixels of a black 8 x 8 RGB PNG: per row, a filter byte and three samples per pixel."""


def part(content: bytes, disposition: bytes = b'form-data; name="files"; filename="a"') -> bytes:
    """Return one part of a multipart body, with the boundary before it."""
    head = b"--" + BOUNDARY.encode() + b"\r\nContent-Disposition: " + disposition
    return head + b"\r\n\r\n" + content + b"\r\n"


def multipart(*contents: bytes) -> bytes:
    """Return a valid multipart body with these files."""
    return b"".join(part(content) for content in contents) + END


END = b"--" + BOUNDARY.encode() + b"--\r\n"


def json_images(*contents: bytes) -> bytes:
    """Return a valid JSON body with these files."""
    return json.dumps({"images": [base64.b64encode(each).decode() for each in contents]}).encode()
