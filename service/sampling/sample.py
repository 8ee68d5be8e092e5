"""Build the files of a sample: the image as received, and its verdict as JSON."""

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
from oodguard.service.images.body import parse
from oodguard.service.images.header import EncodedImage
from oodguard.service.images.types import Body, RequestLimits
from oodguard.service.responses import Json

SUFFIXES = ("jpeg", "png", "webp", "json")

FILE_NAME = re.compile(
    rf"(\d{{8}}T\d{{6}}\.\d{{6}}Z-[A-Za-z0-9._-]{{1,64}}-\d{{1,9}})\.(?:{'|'.join(SUFFIXES)})",
    re.ASCII,
)


def timestamp(at: datetime) -> str:
    """Return the prefix of a file name: a UTC time in microseconds, which sorts by age."""
    return f"{at:%Y%m%dT%H%M%S.%fZ}"


def sample_stem(at: datetime, request_id: str, index: int) -> str:
    """Return the name of a sample's files without their suffix."""
    return f"{timestamp(at)}-{request_id}-{index}"


def stem_of(file_name: str) -> str | None:
    """Return the stem of a sample's file, or None if the file is not part of a sample."""
    match = FILE_NAME.fullmatch(file_name)
    return match[1] if match else None


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledRequest:
    """The sampled images of one request.

    Attributes:
        at: Time of the response, in UTC.
        request_id: The request's id.
        body: The request's body with all its images.
        model: The model in the response.
        policy: The policy in the response.
        verdicts: Verdicts of the sampled images by their index in the request.
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
        stem: The name of its files without their suffix.
        index: The image's index in its request.
        files: Contents by file name; the verdict is last, so that its image is complete.
    """

    stem: str
    index: int
    files: Mapping[str, bytes]

    @property
    def size(self) -> int:
        """Size of all files in bytes."""
        return sum(len(data) for data in self.files.values())


def build_samples(request: SampledRequest, limits: RequestLimits) -> Iterator[Sample]:
    """Parse the body again and yield the sampled images.

    Raises:
        RequestError: The body cannot be parsed.
    """
    payload = parse(request.body, limits)
    for index, verdict in request.verdicts.items():
        suffix, image = _image_file(payload[index])
        stem = sample_stem(request.at, request.request_id, index)
        file = f"{stem}.{suffix}"
        record = {
            "request_id": request.request_id,
            "image": index,
            "file": file,
            "time": request.at,
            "model": request.model,
            "policy": request.policy,
            "verdict": verdict,
        }
        text = orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z)
        yield Sample(stem=stem, index=index, files={file: image, f"{stem}.json": text})


def _image_file(image: EncodedImage | NDArray[np.uint8]) -> tuple[str, bytes]:
    """Return the suffix and the content of an image file; raw pixels become a PNG."""
    if isinstance(image, EncodedImage):
        return image.header.format.lower(), image.data
    png = io.BytesIO()
    Image.fromarray(image).save(png, "PNG")
    return "png", png.getvalue()
