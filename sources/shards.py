"""The files of a table: Parquet, CSV and JSON; the content of a file decides on its format."""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from oodguard.models.errors import RecipeError
from oodguard.models.names import text_of
from oodguard.sources.columns import is_text
from oodguard.sources.listing import check_row_count
from oodguard.sources.special_file import is_special
from oodguard.sources.text_tables import read_rows

BATCH_ROWS = 8
"""The number of images of a table that are decoded at a time, at most."""

BATCH_BYTES = 2**28
"""The largest size of these images together, unless one is larger. A table of a few kilobytes can
repeat an image of 100 MB: in memory, each row has its own."""

BUFFER_BYTES = 2**20
"""The number of bytes of a row group that are in memory; a row group may be larger than memory."""

MAX_COLUMN_BYTES = 2**30
"""The largest size of a column of labels, groups or paths in a file, where equal texts count once.
A compressed page may be a thousand times smaller."""

MAX_TEXT_BYTES = 4096
"""The largest size of one of these texts: that of a path in Linux."""

Values = Callable[[NDArray[np.int64]], Iterator[object]]
"""Maps ascending rows of one file to the values of its image column."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One file of a table: `column` returns all values of a column, `images` those of some rows.

    `paths` returns the values of the image column without encoded bytes.
    """

    path: Path
    schema: pa.Schema
    rows: int
    column: Callable[[str], Sequence[object]]
    images: Callable[[str], Values]
    paths: Callable[[str], Sequence[object]]

    def has_texts(self, column: str) -> bool:
        """Return whether the values of a column are text, as paths are."""
        return is_text(self.schema.field(column).type)


def open_shard(path: Path) -> Shard:
    """Open a file of a table.

    Raises:
        RecipeError: The file cannot be read, or has invalid rows.
    """
    if is_special(path):
        raise RecipeError(
            f"{text_of(path)}: the path is a pipe or a device, expected a file: copy the data to"
            " a file"
        )
    with _reading(path):
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
        return _parquet(path) if is_parquet else _text(path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise an error that names the file if it cannot be read, which damaged pages show late."""
    try:
        yield
    except (OSError, OverflowError, ValueError, pa.ArrowException, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RecipeError(f"{text_of(path)}: cannot read the data: {reason}") from error


def _parquet(path: Path) -> Shard:
    with path.open("rb") as opened, pq.ParquetFile(opened) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
        groups = range(file.metadata.num_row_groups)
        if rows != sum(file.metadata.row_group(group).num_rows for group in groups):
            raise ValueError(f"the number of rows is {rows:,}, expected that of the row groups")
    check_row_count(rows, location=text_of(path))

    def column(name: str) -> list[object]:
        with _reading(path), path.open("rb") as opened:
            return _column(opened, name, path)

    def paths(name: str) -> list[object]:
        kind = schema.field(name).type
        if pa.types.is_struct(kind):
            return column(f"{name}.path") if kind.get_field_index("path") >= 0 else []
        return column(name) if is_text(kind) else []

    def images(name: str) -> Values:
        def values(rows: NDArray[np.int64]) -> Iterator[object]:
            start = 0
            with _reading(path), path.open("rb") as opened, open_images(opened) as file:
                for batch in image_batches(file, name):
                    stop = start + len(batch)
                    for row in rows[(rows >= start) & (rows < stop)]:
                        yield batch.column(0)[row - start].as_py()
                    start = stop

        return values

    return Shard(path=path, schema=schema, rows=rows, column=column, images=images, paths=paths)


def open_images(opened: BinaryIO) -> pq.ParquetFile:
    """Open a Parquet file for `image_batches`, which reads parts of its row groups."""
    return pq.ParquetFile(opened, buffer_size=BUFFER_BYTES, pre_buffer=False)


def image_batches(file: pq.ParquetFile, name: str, first: int = 0) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the column of images, from a row group on, in batches of bounded size.

    No image is larger than the column is in its row group, which stores equal ones once.
    """
    for group in range(first, file.metadata.num_row_groups):
        largest = max(1, _bytes(file.metadata.row_group(group), name))
        yield from file.iter_batches(
            max(1, min(BATCH_ROWS, BATCH_BYTES // largest)),
            row_groups=[group],
            columns=[name],
            use_threads=False,
        )


def _column(opened: BinaryIO, name: str, path: Path) -> list[object]:
    """Return the values of a column that is not one of encoded images.

    Texts are read as numbers of different texts, and equal ones are one object: Parquet stores a
    text that a million rows have once.

    Raises:
        RecipeError: The column is larger than its limits, or its values are lists or records.
    """
    values: list[object] = []
    with pq.ParquetFile(opened) as file:
        kind = file.schema_arrow.field(name).type if name in file.schema_arrow.names else None
    if kind is not None and pa.types.is_nested(kind):
        raise RecipeError(
            f"{text_of(path)}: the column {name!r} has the type {kind}, expected text or numbers"
        )
    with pq.ParquetFile(opened, read_dictionary=[name]) as file:
        groups = range(file.metadata.num_row_groups)
        size = sum(_bytes(file.metadata.row_group(group), name) for group in groups)
        if size > MAX_COLUMN_BYTES:
            raise RecipeError(
                f"{text_of(path)}: the column {name!r} has {size:,} bytes, expected at most"
                f" {MAX_COLUMN_BYTES:,}: divide the table"
            )
        for group in groups:
            for chunk in file.read_row_group(group, columns=[name]).column(0).chunks:
                found = chunk.flatten()[0] if pa.types.is_struct(chunk.type) else chunk
                values += _python_values(found, name, path)
    return values


def _bytes(group: pq.RowGroupMetaData, name: str) -> int:
    columns = (group.column(index) for index in range(group.num_columns))
    return sum(
        each.total_uncompressed_size
        for each in columns
        if each.path_in_schema == name or each.path_in_schema.startswith(f"{name}.")
    )


def _python_values(found: pa.Array, name: str, path: Path) -> list[object]:
    if not pa.types.is_dictionary(found.type):
        return cast("list[object]", found.to_pylist())
    different = found.dictionary
    if pa.types.is_binary(different.type) or is_text(different.type):
        _check_longest(pc.max(pc.binary_length(different)).as_py() or 0, name, path)
    objects = [*different.to_pylist(), None]
    numbers = found.indices.cast(pa.int64()).fill_null(len(different))
    return [objects[number] for number in numbers.to_numpy()]


def _check_longest(longest: int, name: str, path: Path) -> None:
    if longest > MAX_TEXT_BYTES:
        raise RecipeError(
            f"{text_of(path)}: the column {name!r} has a text of {longest:,} bytes, expected at"
            f" most {MAX_TEXT_BYTES:,}"
        )


def _text(path: Path) -> Shard:
    rows = read_rows(path)
    names = list(dict.fromkeys(name for row in rows for name in row))
    schema = pa.schema([(text_of(name), pa.string()) for name in names])

    def column(name: str) -> list[object]:
        values = [row.get(name) for row in rows]
        texts = (each.encode(errors="surrogatepass") for each in values if isinstance(each, str))
        _check_longest(max(map(len, texts), default=0), name, path)
        return values

    def images(name: str) -> Values:
        values = column(name)
        return lambda selected: (values[row] for row in selected)

    return Shard(
        path=path, schema=schema, rows=len(rows), column=column, images=images, paths=column
    )
