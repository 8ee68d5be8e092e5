"""The requests that are sent to our service, as the bytes that go over the wire."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PREDICT = "/predict"
BOUNDARY = "picture"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One POST, and how many images it asks about."""

    content_type: str
    body: bytes
    path: str = PREDICT
    images: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)

    def over_the_wire(self, *, close: bool = False) -> bytes:
        """Write the request out; `close` asks the server to close the connection after it."""
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
    """One encoded image as the body."""
    return Request(content_type=f"image/{kind}", body=data)


def raw(images: NDArray[np.uint8]) -> Request:
    """Raw pixels `(n, H, W, 3)`."""
    return Request(
        content_type="application/octet-stream",
        body=images.tobytes(),
        images=len(images),
        headers={"X-Shape": ",".join(str(side) for side in images.shape)},
    )


def form(files: Sequence[bytes]) -> Request:
    """Encoded images as multipart files."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="image"\r\n\r\n'
    parts = b"".join(head.encode() + data + b"\r\n" for data in files)
    return Request(
        content_type=f"multipart/form-data; boundary={BOUNDARY}",
        body=parts + f"--{BOUNDARY}--\r\n".encode(),
        images=len(files),
    )


def base64_json(files: Sequence[bytes]) -> Request:
    """Encoded images as base64 in JSON."""
    images = [base64.b64encode(data).decode() for data in files]
    return Request(
        content_type="application/json",
        body=json.dumps({"images": images}).encode(),
        images=len(files),
    )
