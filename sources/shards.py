"""The files of a table: Parquet, CSV and JSON; the content of a file decides on its format."""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from oodguard.models.errors import RecipeError
from oodguard.models.names import text_of
from oodguard.sources.columns import is_text
from oodguard.sources.special_file import is_special
from oodguard.sources.text_tables import read_rows

BATCH_ROWS = 64

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

    def column(name: str) -> list[object]:
        with _reading(path), path.open("rb") as opened, pq.ParquetFile(opened) as file:
            return cast("list[object]", file.read(columns=[name]).column(0).to_pylist())

    def paths(name: str) -> list[object]:
        kind = schema.field(name).type
        if pa.types.is_struct(kind):
            return column(f"{name}.path") if kind.get_field_index("path") >= 0 else []
        return column(name) if is_text(kind) else []

    def images(name: str) -> Values:
        def values(rows: NDArray[np.int64]) -> Iterator[object]:
            start = 0
            with _reading(path), path.open("rb") as opened, pq.ParquetFile(opened) as file:
                for batch in file.iter_batches(BATCH_ROWS, columns=[name]):
                    stop = start + len(batch)
                    for row in rows[(rows >= start) & (rows < stop)]:
                        yield batch.column(0)[row - start].as_py()
                    start = stop

        return values

    return Shard(path=path, schema=schema, rows=rows, column=column, images=images, paths=paths)


def _text(path: Path) -> Shard:
    rows = read_rows(path)
    names = list(dict.fromkeys(name for row in rows for name in row))
    schema = pa.schema([(text_of(name), pa.string()) for name in names])

    def column(name: str) -> list[object]:
        return [row.get(name) for row in rows]

    def images(name: str) -> Values:
        return lambda selected: (rows[row].get(name) for row in selected)

    return Shard(
        path=path, schema=schema, rows=len(rows), column=column, images=images, paths=column
    )
