"""The formats of a request body with many images: JSON with base64, raw pixels, multipart."""

import binascii
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import orjson
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import (
    MAX_BOUNDARY_LENGTH,
    MultipartParser,
    parse_options_header,
)

from oodguard.models.errors import ImageTooLarge, UndecodableImage
from oodguard.models.validation_errors import describe_json_error
from oodguard.service.errors import InvalidImage, MalformedBody, TooManyImages, WrongFields
from oodguard.service.images.header import EncodedImage, check_size
from oodguard.service.images.types import Body, Payload, RequestLimits
from oodguard.service.json_text import require_ascii

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

JSON_SCHEMA = '{"images": ["<base64>", ...]}'

JSON_TYPES: Mapping[type, str] = {
    bool: "boolean",
    dict: "object",
    float: "number",
    int: "number",
    list: "array",
    str: "string",
    type(None): "null",
}

# Parsed, these take some 10 MB. A body of 16 MiB could contain eight million values, which would
# take half a gigabyte, and a second in which no other thread runs.
MAX_JSON_VALUES = 2**17

# RFC 2397. The media type is ignored: the format of an image is determined from its bytes.
DATA_URL = re.compile(r"data:[^,]{0,256};base64,", re.ASCII | re.IGNORECASE)

CHANNELS = 3

# Nine digits a number: no product of four that passes the checks overflows 64 bits.
SHAPE = re.compile(r"\s*(\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*", re.ASCII)

FORM_FIELD = "files"

MAX_NAME_LENGTH = 128


def parse_json(body: Body, limits: RequestLimits) -> Payload:
    """Parse `{"images": [...]}` with one base64 string or data: URL for each encoded image.

    Raises:
        MalformedBody: Not JSON.
        WrongFields: Another structure, too many values to parse, or long and not ASCII.
        TooManyImages: More images than the limit.
        InvalidImage: A string is not base64.
    """
    require_ascii(body.data)
    max_values = MAX_JSON_VALUES + limits.max_images
    # Every value but the first follows one of these three characters. None of them is in the
    # alphabet of base64, and counting them allocates nothing.
    if len(body.data) > max_values:
        values = sum(body.data.count(character) for character in (b",", b"[", b"{"))
        if values > max_values:
            raise WrongFields(
                f"the body has {values} JSON values, expected at most {max_values} as {JSON_SCHEMA}"
            )
    try:
        value = orjson.loads(body.data)
    except orjson.JSONDecodeError as error:
        cause = describe_json_error(body.data, error)
        raise MalformedBody(f"the body is not valid JSON: {cause}") from error
    if not isinstance(value, dict):
        raise WrongFields(f"the body is a JSON {JSON_TYPES[type(value)]}, expected {JSON_SCHEMA}")
    if set(value) != {"images"}:
        fields = ", ".join(sorted(value))[:128] or "none"
        raise WrongFields(f"the body has the fields: {fields}, expected {JSON_SCHEMA}")
    images = value["images"]
    if not isinstance(images, list) or not images:
        received = "empty" if images == [] else f"a JSON {JSON_TYPES[type(images)]}"
        raise WrongFields(f"'images' is {received}, expected {JSON_SCHEMA}")
    _check_count(len(images), limits)
    return [_decode_base64(image, index) for index, image in enumerate(images)]


def _decode_base64(text: object, index: int) -> EncodedImage:
    if not isinstance(text, str):
        raise WrongFields(
            f"image {index} is a JSON {JSON_TYPES[type(text)]}, expected a base64 string"
        )
    prefix = DATA_URL.match(text) if text[:5].lower() == "data:" else None
    encoded = text[prefix.end() :] if prefix else text
    try:
        return EncodedImage(data=binascii.a2b_base64(encoded, strict_mode=True) if encoded else b"")
    except ValueError as error:
        cause = UndecodableImage(
            f"invalid base64: {_base64_fault(encoded)}, expected the standard alphabet with padding"
            " and without line breaks, or a URL data:image/png;base64,..."
        )
        raise InvalidImage(cause, index=index, name=None) from error


def _base64_fault(encoded: str) -> str:
    """Describe the first fault of a string that is not base64."""
    if other := re.search(r"[^A-Za-z0-9+/=]", encoded):
        return f"character {other.start()} is {other[0]!r}"
    if len(encoded) % 4:
        return f"it has {len(encoded)} characters, which is not a multiple of 4"
    return "its padding is wrong"


def parse_raw(body: Body, limits: RequestLimits) -> Payload:
    """View the body as raw pixels of the shape in X-Shape, without a copy.

    Raises:
        WrongFields: X-Shape is missing or invalid, or does not match the body.
        TooManyImages: More images than the limit.
        InvalidImage: Images of more pixels, or longer sides, than the limit.
    """
    n, height, width = _parse_shape(body.shape)
    _check_count(n, limits)
    try:
        check_size(width, height, limits.max_pixels)
    except ImageTooLarge as error:
        raise InvalidImage(error, index=0, name=None) from error
    expected = n * height * width * CHANNELS
    if len(body.data) != expected:
        raise WrongFields(
            f"the body has {len(body.data)} bytes, expected {expected} for X-Shape"
            f' "{n},{height},{width},{CHANNELS}"'
        )
    return np.frombuffer(body.data, np.uint8).reshape(n, height, width, CHANNELS)


def _parse_shape(header: str | None) -> tuple[int, int, int]:
    """Return number, height and width from `n,H,W,3`, each at least 1."""
    if header is None:
        raise WrongFields('X-Shape is missing, expected "n,H,W,3" with application/octet-stream')
    match = SHAPE.fullmatch(header)
    n, height, width, channels = (int(each) for each in match.groups()) if match else (0, 0, 0, 0)
    if channels != CHANNELS or 0 in {n, height, width}:
        raise WrongFields(
            f'X-Shape is "{header[:64]}", expected "n,H,W,3" with n, H and W of at least 1'
        )
    return n, height, width


def parse_multipart(body: Body, limits: RequestLimits) -> Payload:
    """Take every file of the form field `files` as an encoded image.

    Raises:
        MalformedBody: Not multipart, or truncated before the closing boundary.
        WrongFields: Another form field, or none.
        TooManyImages: More files than the limit, checked before any is read.
    """
    boundary = body.options.get(b"boundary")
    if not boundary:
        raise MalformedBody("Content-Type multipart/form-data has no parameter boundary")
    if len(boundary) > MAX_BOUNDARY_LENGTH:
        raise MalformedBody(
            f"the boundary of Content-Type has {len(boundary)} bytes,"
            f" expected at most {MAX_BOUNDARY_LENGTH}"
        )
    # One such line precedes each file, and one ends the form. The parser takes a microsecond for
    # each, even where the line turns out to be none: many of them would keep it busy for seconds.
    lines = body.data.count(b"\r\n--" + boundary)
    if lines > limits.max_images + 1:
        raise TooManyImages(
            f"the body has {lines} images, or lines that start with the boundary,"
            f" expected at most {limits.max_images} images"
        )
    form = _FormFiles(limits)
    try:
        MultipartParser(boundary, form.callbacks()).write(body.data)
    except MultipartParseError as error:
        raise MalformedBody(
            f"the multipart body is invalid at byte {error.offset}, expected parts with headers,"
            " separated by the boundary of Content-Type"
        ) from error
    if not form.complete:
        raise MalformedBody("the multipart body is truncated: it has no closing boundary")
    if not form.images:
        raise WrongFields(
            f"the form has no fields, expected one or more files in the field {FORM_FIELD!r}"
        )
    return form.images


class _FormFiles:
    """Callbacks of `MultipartParser` that collect the files of the form field `files`.

    The parser's `FormParser` also decodes Content-Transfer-Encoding, which RFC 7578, section 4.7
    deprecates, and logs values that it does not know. Here, that header is ignored.
    """

    def __init__(self, limits: RequestLimits) -> None:
        self.images: list[EncodedImage] = []
        self.complete = False
        self._limits = limits
        self._header = self._disposition = self._data = b""
        self._name: str | None = None

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._store_header_name,
            "on_header_value": self._store_disposition,
            "on_headers_finished": self._parse_disposition,
            "on_part_data": self._append_data,
            "on_part_end": self._add_image,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        self._disposition = self._data = b""

    def _store_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header = data[start:end]

    def _store_disposition(self, data: bytes, start: int, end: int) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = data[start:end]

    def _parse_disposition(self) -> None:
        _, options = parse_options_header(self._disposition)
        field = _text(options.get(b"name"))
        if field is None:
            raise MalformedBody(
                f"part {len(self.images)} of the multipart body has no Content-Disposition header"
                f' with a name, expected: form-data; name="{FORM_FIELD}"'
            )
        if field != FORM_FIELD:
            raise WrongFields(f"the form has the field {field!r}, expected {FORM_FIELD!r}")
        _check_count(len(self.images) + 1, self._limits)
        self._name = _text(options.get(b"filename"))

    def _append_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def _add_image(self) -> None:
        self.images.append(EncodedImage(data=self._data, name=self._name))

    def _end(self) -> None:
        self.complete = True


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")[:MAX_NAME_LENGTH]


def _check_count(images: int, limits: RequestLimits) -> None:
    if images > limits.max_images:
        raise TooManyImages(
            f"the request has {images} images, expected at most {limits.max_images}"
        )
