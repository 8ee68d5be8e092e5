"""The files of a multipart/form-data body."""

import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import orjson
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from oodguard.models.errors import ImageTooLarge, UndecodableImage
from oodguard.service.errors import InvalidImage, MalformedBody, TooManyImages, WrongFields
from oodguard.service.images.header import check_size
from oodguard.service.images.types import Body, Encoded, Payload, RequestLimits

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

WANTED = 'send {"images": ["<base64>", ...]}'

# Parsed, these take some 10 MB. A body of 16 MiB could hold eight million, and take half a gigabyte
# and a second in which no other thread runs.
MOST_VALUES = 2**17


def read_json(body: Body, limits: RequestLimits) -> Payload:
    """Read `{"images": [...]}`.

    Raises:
        MalformedBody: Not JSON.
        WrongFields: Another shape of JSON, or one of far more values than images are taken.
        TooManyImages: More than the limit.
        InvalidImage: A string that is not base64.
    """
    _check_values(body.data, MOST_VALUES + limits.max_images)
    try:
        value = orjson.loads(body.data)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise WrongFields(f"a JSON {type(value).__name__} came; {WANTED}")
    if set(value) != {"images"}:
        fields = ", ".join(sorted(value))[:128] or "none"
        raise WrongFields(f"the fields {fields} came; {WANTED}")
    images = value["images"]
    if not isinstance(images, list) or not images:
        raise WrongFields(f"'images' is not a list of at least one string; {WANTED}")
    if len(images) > limits.max_images:
        raise TooManyImages(
            f"{len(images)} images came; send at most {limits.max_images} a request"
        )
    return [_base64(image, index) for index, image in enumerate(images)]


def _check_values(data: bytes, most: int) -> None:
    """Bound what parsing allocates: every value but the first stands behind one of three marks.

    None of them is in the alphabet of base64, so a body of images has one for each image.
    """
    if len(data) <= most:
        return
    values = sum(data.count(mark) for mark in (b",", b"[", b"{"))
    if values > most:
        raise WrongFields(f"a JSON of {values} values came; at most {most} are read; {WANTED}")


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
        raise InvalidImage(cause, index=index, name=None) from error


CHANNELS = 3

# Nine digits a number: nothing that fits can overflow a 64-bit product of four after the checks.
SHAPE = re.compile(r"\s*(\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*", re.ASCII)


def read_pixels(body: Body, limits: RequestLimits) -> Payload:
    """View the body as the images that X-Shape says; nothing is copied.

    Raises:
        WrongFields: X-Shape is missing, or does not fit the body.
        TooManyImages: More than the limit.
        InvalidImage: Images of more pixels, or longer sides, than the limit.
    """
    n, height, width = _shape(body.shape)
    if n > limits.max_images:
        raise TooManyImages(f"{n} images came; send at most {limits.max_images} a request")
    try:
        check_size(width, height, limits.max_pixels)
    except ImageTooLarge as error:
        raise InvalidImage(error, index=0, name=None) from error
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


FIELD = "files"

LONGEST_NAME = 128


@dataclass(kw_only=True, slots=True)
class Part:
    """One uploaded file."""

    name: str | None = None
    data: bytearray = field(default_factory=bytearray)


def read_files(body: Body, limits: RequestLimits) -> Payload:
    """Read every file of the field `files`.

    Raises:
        MalformedBody: Not multipart, or cut off before its closing boundary.
        WrongFields: A field that is not `files`, or none at all.
        TooManyImages: More than the limit, known before any is read.
    """
    boundary = body.options.get(b"boundary")
    if not boundary:
        raise MalformedBody("the content type multipart/form-data came without its boundary")
    _check_boundaries(body.data, b"\r\n--" + boundary, limits.max_images)
    collector = _Collector(limits.max_images)
    try:
        parser = MultipartParser(boundary, collector.callbacks())
        parser.write(body.data)
        parser.finalize()
    except FormParserError as error:
        raise MalformedBody(f"the multipart body is broken: {error}") from error
    if not collector.ended:
        raise MalformedBody("the multipart body ends before its closing boundary")
    if not collector.parts:
        raise WrongFields(f"no field came; send one or more files in the field {FIELD!r}")
    return [Encoded(data=part.data, name=part.name) for part in collector.parts]


def _check_boundaries(data: bytes, boundary: bytes, max_files: int) -> None:
    """Count the lines that begin with the boundary: one before each file, and one at the end.

    Counting is quick. The parser looks at each such line for a microsecond, also where it goes on
    in another way and is no boundary; a body of nothing else would keep a thread for seconds.
    """
    lines = data.count(boundary)
    if lines > max_files + 1:
        raise TooManyImages(
            f"{lines} lines begin with the boundary, as if more than {max_files} files came; "
            f"send at most {max_files} a request"
        )


class _Collector:
    """Collects what the parser reports, in its order of calls."""

    def __init__(self, max_files: int) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._max_files = max_files
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_end": self._on_end,
        }

    def _on_part_begin(self) -> None:
        if len(self.parts) == self._max_files:
            raise TooManyImages(
                f"more than {self._max_files} files came; send at most {self._max_files} a request"
            )
        self._disposition = b""
        self.parts.append(Part())

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name != FIELD:
            raise WrongFields(f"a field {name[:LONGEST_NAME]!r} came; send files as {FIELD!r}")
        if b"filename" in options:
            self.parts[-1].name = options[b"filename"].decode("utf-8", "replace")[:LONGEST_NAME]

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].data += data[start:end]

    def _on_end(self) -> None:
        self.ended = True
