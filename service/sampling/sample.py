"""Rejected images of a request, as the files that are kept of them."""

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import orjson
from numpy.typing import NDArray
from PIL import Image

from oodguard.models.verdicts import Verdict
from oodguard.service import responses as answers
from oodguard.service.images.body import parse
from oodguard.service.images.header import read_header
from oodguard.service.images.types import Body, Encoded, RequestLimits
from oodguard.service.responses import Json

SUFFIXES = ("jpeg", "png", "webp", "json")

NAME = re.compile(
    rf"(\d{{8}}T\d{{6}}\.\d{{6}}Z-[A-Za-z0-9._-]{{1,64}}-\d{{1,9}})\.(?:{'|'.join(SUFFIXES)})",
    re.ASCII,
)


def moment(at: datetime) -> str:
    """How a name begins: a time in UTC, to the microsecond."""
    return f"{at:%Y%m%dT%H%M%S.%fZ}"


def stem(at: datetime, request_id: str, index: int) -> str:
    """What the files of one sample are called, without their suffix."""
    return f"{moment(at)}-{request_id}-{index}"


def stem_of(name: str) -> str | None:
    """The sample that a file is of; none where it is nothing that was ever written here."""
    match = NAME.fullmatch(name)
    return match[1] if match else None


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


def samples(rejection: Rejection, limits: RequestLimits) -> Iterator[Sample]:
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
