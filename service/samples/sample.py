"""Rejected images of a request, as the files that are kept of them."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import orjson
from numpy.typing import NDArray
from PIL import Image

from models.guard import Verdict
from service import answers
from service.answers import Json
from service.decoding.image_headers import read_header
from service.payloads.parsers import parse
from service.payloads.types import Body, Encoded, Limits
from service.samples.names import stem


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """The images of one answered request that are to be kept.

    Attributes:
        at: When it was answered, in UTC.
        request_id: Its id.
        body: Its body, all images of it.
        model: Which model rejected them.
        policy: By which line.
        verdicts: What was said of each, by its place in the request.
    """

    at: datetime
    request_id: str
    body: Body
    model: Json
    policy: Json
    verdicts: Mapping[int, Verdict]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One image and its verdict.

    Attributes:
        stem: What its files are called, without their suffix.
        files: Their bytes by name; the last one is the verdict, so that where it is, all is.
    """

    stem: str
    files: Mapping[str, bytes]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(len(data) for data in self.files.values())


def samples(rejection: Rejection, limits: Limits) -> Iterator[Sample]:
    """Take a body apart once more, and out of it what was rejected.

    Raises:
        RequestError: The body is not what it was when it was judged.
    """
    payload = parse(rejection.body, limits)
    for index, verdict in rejection.verdicts.items():
        suffix, image = _as_it_came(payload[index])
        name = stem(rejection.at, rejection.request_id, index)
        file = f"{name}.{suffix}"
        (said,) = answers.predictions([verdict])
        about = {
            "request_id": rejection.request_id,
            "image": index,
            "file": file,
            "time": rejection.at,
            "model": rejection.model,
            "policy": rejection.policy,
            "verdict": said,
        }
        text = orjson.dumps(about, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z)
        yield Sample(stem=name, files={file: image, f"{name}.json": text})


def _as_it_came(image: Encoded | NDArray[np.uint8]) -> tuple[str, bytes]:
    """The format and the bytes of an image; raw pixels become a PNG."""
    if isinstance(image, Encoded):
        data = bytes(image.data)
        return read_header(data).format.lower(), data
    written = io.BytesIO()
    Image.fromarray(image).save(written, "PNG")
    return "png", written.getvalue()
