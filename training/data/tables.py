"""List tables of images: Parquet, CSV and JSON Lines files, or a folder of such shards.

An image is encoded bytes, a struct of bytes and a path, or a path, which starts from the folder of
its table. The format of a file is found by its content.
"""

import csv
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from oodguard.models.errors import RecipeError
from oodguard.models.names import is_special, text_of
from oodguard.training.config.sources import Source
from oodguard.training.data.columns import (
    check_names,
    choose_columns,
    encode_labels,
    is_text,
    number_groups,
)
from oodguard.training.data.folders import SPLITS, ending
from oodguard.training.data.listing import Encoded, Listing, name_all

TABLE_ENDINGS = frozenset({".parquet", ".pq", ".csv", ".tsv", ".jsonl", ".ndjson"})
BATCH_ROWS = 64

Values = Callable[[NDArray[np.int64]], Iterator[object]]
"""Maps ascending rows of one file to the values of its image column."""


Row = Mapping[str, object]


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


def is_table(path: Path) -> bool:
    """Return whether a path is a file, or a folder of tables without sub-folders."""
    if not path.is_dir():
        return True
    visible = [each for each in path.iterdir() if not each.name.startswith(".")]
    return bool(visible) and all(
        each.is_file() and ending(each.name) in TABLE_ENDINGS for each in visible
    )


def list_tables(paths: Sequence[Path], source: Source) -> Listing:
    """List the rows of one or more tables in their order.

    Raises:
        RecipeError: a table cannot be read, has no column of images, or has invalid rows, which
            the error names.
    """
    location = ", ".join(map(text_of, paths))
    shards = [_open_shard(file) for path in paths for file in _files(path)]
    first = shards[0]
    columns = choose_columns(first.schema, source, location=location)
    labels: list[object] = []
    groups: list[object] = []
    for shard in shards:
        found = choose_columns(shard.schema, source, location=text_of(shard.path))
        if (found.image, found.label, found.names) != (columns.image, columns.label, columns.names):
            raise RecipeError(
                f"{text_of(shard.path)}: the columns of images and labels, or the class names,"
                f" differ from those of {text_of(first.path)}, expected the same in all files"
            )
        labels += shard.column(columns.label) if columns.label else []
        groups += shard.column(source.group) if source.group else []
    rows = sum(shard.rows for shard in shards)
    values = labels if columns.label else None
    classes, numbers = encode_labels(values, columns.names, rows=rows, location=location)
    starts = np.cumsum([0, *(shard.rows for shard in shards)])

    def read(selected: NDArray[np.int64]) -> Iterator[tuple[str, Encoded]]:
        for shard, start, stop in zip(shards, starts[:-1], starts[1:], strict=True):
            own = selected[(selected >= start) & (selected < stop)] - start
            label = f" of {text_of(shard.path.name)}" if len(shards) > 1 else ""
            for row, value in zip(own, shard.images(columns.image)(own), strict=True):
                yield f"row {row}{label}", _encoded(value, shard.path.parent)

    def files() -> Iterator[Path]:
        for shard in shards:
            yield shard.path
            named = (_encoded(value, shard.path.parent) for value in shard.paths(columns.image))
            yield from (path for path in named if isinstance(path, Path))

    listing = Listing(
        location=location,
        classes=classes,
        labels=numbers,
        groups=number_groups(groups, numbers) if source.group else None,
        rows=np.arange(rows),
        read=read,
        files=None if all(shard.has_texts(columns.image) for shard in shards) else files,
    )
    if not source.skip_broken:
        _check_files(listing, columns.image, shards, starts)
    return listing


def _check_files(
    listing: Listing, column: str, shards: Sequence[Shard], starts: NDArray[np.int64]
) -> None:
    """Check that the files exist which the shards of paths name; encoded images are not read."""
    named = [
        np.arange(start, start + shard.rows)
        for shard, start in zip(shards, starts[:-1], strict=True)
        if shard.has_texts(column) or _starts_with_path(shard, column)
    ]
    listing = listing.select(np.concatenate([np.arange(0), *named]))
    missing = {
        name: _missing(path)
        for name, path in listing.pictures()
        if path is None or (isinstance(path, Path) and not os.path.isfile(path))  # noqa: PTH113
    }
    if missing:
        raise RecipeError(
            f"{listing.location}: {len(missing):,} of {len(listing):,} images do not exist; paths"
            f" start from the folder of the table, and rows are counted from 0:\n"
            f"{name_all(missing)}\n"
            "Correct these rows, or leave them out with skip_broken = true (--skip-broken)"
        )


def _starts_with_path(shard: Shard, column: str) -> bool:
    first = shard.images(column)(np.arange(min(shard.rows, 1)))
    return any(isinstance(_encoded(value, shard.path.parent), Path) for value in first)


def _missing(path: Path | None) -> str:
    if path is None:
        return "the path is empty"
    found = "is a pipe or a device" if is_special(path) else "does not exist"
    return f"{text_of(path)} {found}"


def _encoded(value: object, folder: Path) -> Encoded:
    if isinstance(value, dict):
        data = value.get("bytes")
        value = value.get("path") if data is None else data
    if isinstance(value, bytes):
        return value
    return folder / value if isinstance(value, str) and value else None


def _files(path: Path) -> list[Path]:
    """Return a file, or the tables of a folder in the order of their names.

    Raises:
        RecipeError: there is no table, or the folder contains the tables of several splits.
    """
    if not path.is_dir():
        return [path]
    files = [
        each
        for each in sorted(path.iterdir())
        if ending(each.name) in TABLE_ENDINGS and not each.name.startswith(".")
    ]
    if not files:
        raise RecipeError(
            f"{text_of(path)}: found no tables, expected files that end in"
            f" {', '.join(sorted(TABLE_ENDINGS))}"
        )
    parts = {re.split(r"[-_.]", text_of(each.name).lower())[0] for each in files}
    if len(parts) > 1 and parts <= SPLITS:
        raise RecipeError(
            f"{text_of(path)}: contains the splits {', '.join(sorted(parts))}, expected the tables"
            f' of one. List its files: table = ["{text_of(files[0])}", ...]'
        )
    return files


def _open_shard(path: Path) -> Shard:
    if is_special(path):
        raise RecipeError(
            f"{text_of(path)}: the path is a pipe or a device, expected a file: copy the data to"
            " a file"
        )
    with _reading(path):
        with path.open("rb") as file:
            start = file.read(4)
        return _parquet(path) if start == b"PAR1" else _text(path, is_json=start[:1] == b"{")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise an error that names the file if it cannot be read, which damaged pages show late."""
    try:
        yield
    except (OSError, ValueError, pa.ArrowException, csv.Error) as error:
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


def _text(path: Path, *, is_json: bool) -> Shard:
    """Read a CSV or JSON Lines file; a text that is not UTF-8 may still be a path."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = _json_rows(file, path) if is_json else _csv_rows(file, path)
    names = list(rows[0]) if rows else []
    schema = pa.schema([(text_of(name), pa.string()) for name in names])

    def column(name: str) -> list[object]:
        return [row.get(name) for row in rows]

    def images(name: str) -> Values:
        return lambda selected: (rows[row].get(name) for row in selected)

    return Shard(
        path=path, schema=schema, rows=len(rows), column=column, images=images, paths=column
    )


def _csv_rows(lines: Iterator[str], path: Path) -> list[Row]:
    """Read a table whose first line names the columns; the delimiter is the first line's."""
    head = next(lines, "")
    delimiter = max(",;\t", key=head.count)
    names = next(csv.reader([head], delimiter=delimiter), [])
    check_names([name for name in names if name], location=text_of(path))
    rows: list[Row] = []
    faults: dict[str, str] = {}
    for number, cells in enumerate(each for each in csv.reader(lines, delimiter=delimiter) if each):
        if len(cells) != len(names):
            faults[f"row {number}"] = f"has {len(cells)} cells"
        rows.append(dict(zip(names, cells, strict=False)))
    _check_rows(faults, path, f"{len(names)} cells, as the first line has")
    return rows


def _json_rows(lines: Iterator[str], path: Path) -> list[Row]:
    rows: list[Row] = []
    faults: dict[str, str] = {}
    for number, line in enumerate(each for each in lines if each.strip()):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            row, faults[f"row {number}"] = {}, str(error)
        if not isinstance(row, dict):
            row, faults[f"row {number}"] = {}, "is not an object"
        rows.append(row)
    _check_rows(faults, path, "one JSON object per line")
    return rows


def _check_rows(faults: dict[str, str], path: Path, expected: str) -> None:
    if faults:
        raise RecipeError(
            f"{text_of(path)}: {len(faults):,} rows are invalid, expected {expected} (rows are"
            f" counted from 0):\n{name_all(faults)}"
        )
