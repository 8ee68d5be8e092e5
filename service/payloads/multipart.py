"""The files of a multipart/form-data body."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import MalformedBody, TooManyImages, WrongFields
from service.payloads.types import Body, Encoded, Limits, Payload

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD = "files"
LONGEST_NAME = 128


@dataclass(kw_only=True, slots=True)
class Part:
    """One uploaded file."""

    name: str | None = None
    data: bytearray = field(default_factory=bytearray)


def read_files(body: Body, limits: Limits) -> Payload:
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
