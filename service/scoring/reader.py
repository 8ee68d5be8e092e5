"""Read the pictures of a listed source by their positions."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oodguard.models.errors import ImageError, RecipeError
from oodguard.models.names import text_of
from oodguard.service.scoring.picture_source import PictureSource, Segment
from oodguard.service.scoring.places import Bucket, Files, Place, check_size
from oodguard.sources.shards import image_batches, open_images

REQUESTS = 16
"""The number of objects that one worker requests at a time."""

Content: TypeAlias = bytes | ImageError | None
"""An encoded picture, or the reason why it cannot be read; None: the row has none."""

NamedPicture: TypeAlias = tuple[str, int | None, Content]
"""The file, object or table of a picture, its row in the table, and its content."""


class SourceReader:
    """Read any pictures of a source; reading on where the last call ended is quick.

    Args:
        source: The source.
        max_bytes: The most bytes of a picture.
    """

    def __init__(self, source: PictureSource, max_bytes: int) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._places: dict[str | None, Place] = {}
        self._table: tuple[int, _ParquetReader] | None = None

    def read(
        self, start: int, stop: int, names: Iterator[str | None] | None = None
    ) -> Iterator[NamedPicture]:
        """Yield the pictures `start` to `stop`, exclusive.

        Args:
            start: The position of the first picture.
            stop: The end.
            names: Those of `PictureSource.names_between`, for a machine without the list.

        Raises:
            RecipeError: A table or a store cannot be read.
        """
        names = self._source.names_between(start, stop) if names is None else names
        for number, low, high in self._source.between(start, stop):
            segment = self._source.segments[number]
            if segment.column is None:
                yield from self._read_names(segment, low, islice(names, high - low))
            else:
                yield from self._read_table(number, segment, low, high)

    def _read_names(
        self, segment: Segment, low: int, names: Iterator[str | None]
    ) -> Iterator[NamedPicture]:
        place = self._place(segment.bucket)
        contents = _fetch(place, names, REQUESTS if segment.bucket else 0)
        for row, (name, content) in enumerate(contents, low):
            if segment.table is not None:
                yield _location(segment.bucket, segment.table), row, content
            else:
                yield _location(segment.bucket, name or ""), None, content

    def _read_table(
        self, number: int, segment: Segment, low: int, high: int
    ) -> Iterator[NamedPicture]:
        if self._table is None or self._table[0] != number:
            place = self._place(segment.bucket)
            self._table = number, _ParquetReader(segment, place, self._max_bytes)
        location = _location(segment.bucket, segment.table or "")
        for row, content in enumerate(self._table[1].read(low, high), low):
            yield location, row, content

    def _place(self, bucket: str | None) -> Place:
        if bucket not in self._places:
            opened = Bucket(bucket, self._max_bytes) if bucket else Files(self._max_bytes)
            self._places[bucket] = opened
        return self._places[bucket]


class _ParquetReader:
    """Read consecutive rows of the column of pictures of a Parquet file."""

    def __init__(self, segment: Segment, place: Place, max_bytes: int) -> None:
        self._name = segment.table or ""
        self._location = text_of(_location(segment.bucket, self._name))
        self._column = segment.column or ""
        self._place = place
        self._max_bytes = max_bytes
        self._position = -1
        self._ends: NDArray[np.int64] | None = None
        self._values: Iterator[object] = iter(())

    def read(self, low: int, high: int) -> Iterator[Content]:
        try:
            if self._position < low < self._group_end():
                deque(islice(self._values, low - self._position), maxlen=0)
            elif low != self._position:
                self._values = self._from(low)
            self._position = low
            for value in islice(self._values, high - low):
                self._position += 1
                yield self._content(value)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise RecipeError(f"{self._location}: cannot read the data: {error}") from error
        if self._position != high:
            raise RecipeError(
                f"{self._location}: found {self._position} rows, expected at least {high}: the"
                " table has been changed"
            )

    def _group_end(self) -> int:
        """Return the end of the row group at the position, up to which rows are skipped."""
        if self._ends is None:
            return 0
        at = int(np.searchsorted(self._ends, self._position, side="right"))
        return int(self._ends[at]) if at < len(self._ends) else 0

    def _from(self, row: int) -> Iterator[object]:
        with (
            self._place.open(self._name) as opened,
            open_images(opened) as file,
        ):
            groups = file.metadata.num_row_groups
            self._ends = ends = np.cumsum(
                [file.metadata.row_group(at).num_rows for at in range(groups)]
            )
            first = int(np.searchsorted(ends, row, side="right"))
            skipped = row - (int(ends[first - 1]) if first else 0)
            for batch in image_batches(file, self._column, first):
                if skipped >= len(batch):
                    skipped -= len(batch)
                    continue
                for value in batch.column(0)[skipped:]:
                    yield value.as_py()
                skipped = 0

    def _content(self, value: object) -> Content:
        if isinstance(value, dict):
            data = value.get("bytes")
            value = value.get("path") if data is None else data
        if isinstance(value, bytes):
            try:
                check_size(len(value), self._max_bytes)
            except ImageError as error:
                return error
            return value
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            kind = type(value).__name__
            return ImageError(f"the value is of type {kind}, expected encoded bytes or a path")
        return _content(self._place, self._place.resolve(self._name, value))


def _location(bucket: str | None, name: str) -> str:
    return name if bucket is None else f"{bucket}/{name}"


def _content(place: Place, name: str | None) -> Content:
    try:
        return None if name is None else place.read(name)
    except ImageError as error:
        return error


def _fetch(
    place: Place, names: Iterator[str | None], requests: int
) -> Iterator[tuple[str | None, Content]]:
    """Read pictures in the order of their names, several at a time where each takes long."""
    if not requests:
        for name in names:
            yield name, _content(place, name)
        return
    waiting: deque[tuple[str | None, Future[Content]]] = deque()
    with ThreadPoolExecutor(requests) as pool:
        for name in names:
            waiting.append((name, pool.submit(_content, place, name)))
            if len(waiting) > requests:
                first, found = waiting.popleft()
                yield first, found.result()
        for first, found in waiting:
            yield first, found.result()
