"""Requests to the service, as the bytes that are sent, and the real images in them."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

IMAGES = Path(__file__).parents[2] / "tests" / "data" / "cifar10"
PREDICT = "/predict"
BOUNDARY = "picture"


def read_images(count: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return `count` real images of `size` (width, height), `(count, H, W, 3)`; cycle if needed."""
    paths = sorted(IMAGES.glob("*/*.png"))
    images = [Image.open(path).convert("RGB").resize(size) for path in islice(cycle(paths), count)]
    return np.stack([np.asarray(image) for image in images])


def encode(image: NDArray[np.uint8], kind: str) -> bytes:
    """Encode one image `(H, W, 3)` as PNG or JPEG."""
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One POST request, and the number of images in it."""

    content_type: str
    body: bytes
    path: str = PREDICT
    images: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_bytes(self, *, close: bool = False) -> bytes:
        """Return the request as bytes; `close` asks the server to close the connection after it."""
        lines = [
            f"POST {self.path} HTTP/1.1",
            "Host: 127.0.0.1",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
            *(["Connection: close"] if close else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def encoded(data: bytes, kind: str = "png") -> Request:
    """Return a request with one encoded image as its body."""
    return Request(content_type=f"image/{kind}", body=data)


def raw(images: NDArray[np.uint8]) -> Request:
    """Return a request with raw pixels `(n, H, W, 3)`."""
    return Request(
        content_type="application/octet-stream",
        body=images.tobytes(),
        images=len(images),
        headers={"X-Shape": ",".join(str(side) for side in images.shape)},
    )


def form(files: Sequence[bytes]) -> Request:
    """Return a request with encoded images as multipart files."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="image"\r\n\r\n'
    parts = b"".join(head.encode() + data + b"\r\n" for data in files)
    return Request(
        content_type=f"multipart/form-data; boundary={BOUNDARY}",
        body=parts + f"--{BOUNDARY}--\r\n".encode(),
        images=len(files),
    )


def base64_json(files: Sequence[bytes]) -> Request:
    """Return a request with encoded images as base64 in JSON."""
    images = [base64.b64encode(data).decode() for data in files]
    return Request(
        content_type="application/json",
        body=json.dumps({"images": images}).encode(),
        images=len(files),
    )
