"""Rows of CSV and JSON files; a text that is not UTF-8 may still be a path."""

import codecs
import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from oodguard.models.counts import count_of
from oodguard.models.errors import RecipeError
from oodguard.models.names import text_of
from oodguard.sources.listing import MAX_ROWS, check_names, check_row_count, name_all

Row = Mapping[str, object]

INSPECTED = 4096
"""The number of bytes at the start of a file that decide on its format."""

MAX_ARRAY = 2**28
"""The largest number of characters of a JSON array, which takes ten times its size in memory."""


def read_rows(path: Path) -> list[Row]:
    """Read a CSV file, a JSON array of objects, or JSON Lines; see `stream_rows`.

    Raises:
        RecipeError: There are more than `MAX_ROWS` rows, too.
    """
    rows = list(islice(stream_rows(path), MAX_ROWS + 1))
    check_row_count(len(rows), location=text_of(path))
    return rows


def stream_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file; see `stream_opened`."""
    with path.open("rb") as file:
        yield from stream_opened(file, text_of(path))


def stream_opened(file: BinaryIO, location: str) -> Iterator[Row]:
    """Yield the rows of a CSV file, a JSON array of objects, or JSON Lines.

    A byte order mark is ignored. The error about invalid rows is raised after the last row.

    Args:
        file: The opened file, which can seek; it is closed at the end.
        location: The file in errors.

    Raises:
        RecipeError: The text is not UTF-8, or has invalid rows, which the error names.
        csv.Error: The text is not CSV.
    """
    start = file.read(INSPECTED)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise RecipeError(
            f"{location}: the text is UTF-16, expected UTF-8: save the table with this encoding"
        )
    if b"\0" in start:
        raise RecipeError(
            f"{location}: the file is binary and not Parquet, expected a table as Parquet, CSV"
            " or JSON: convert it"
        )
    first = start.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    file.seek(0)
    with io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="") as text:
        if first == b"[":
            content = text.read(MAX_ARRAY + 1)
            if len(content) > MAX_ARRAY:
                raise RecipeError(
                    f"{location}: the JSON array has more than {MAX_ARRAY:,} characters, expected"
                    " at most as many: write one object per line"
                )
            yield from _json_array(content, location)
        elif first == b"{":
            yield from _json_lines(text, location)
        else:
            yield from _csv_rows(text, location)


def _csv_rows(lines: Iterator[str], location: str) -> Iterator[Row]:
    """Read a table whose first line names the columns; the delimiter is the first line's."""
    head = next(lines, "")
    delimiter = max(",;\t", key=head.count)
    names = next(csv.reader([head], delimiter=delimiter), [])
    check_names([name for name in names if name], location=location)
    faults: dict[str, str] = {}
    for number, cells in enumerate(each for each in csv.reader(lines, delimiter=delimiter) if each):
        if len(cells) != len(names):
            faults[f"row {number}"] = f"has {count_of(len(cells), 'cell')}"
        yield dict(zip(names, cells, strict=False))
    _check_rows(faults, location, f"{count_of(len(names), 'cell')}, as the first line has")


def _json_array(text: str, location: str) -> list[Row]:
    try:
        rows = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise RecipeError(
            f"{location}: the text starts with '[' and is not a JSON array: {error}. Expected"
            " an array of objects, or one JSON object per line"
        ) from error
    faults = {
        f"row {number}": "is not an object"
        for number, row in enumerate(rows)
        if not isinstance(row, dict)
    }
    _check_rows(faults, location, "an array of JSON objects")
    return list(rows)


def _json_lines(lines: Iterator[str], location: str) -> Iterator[Row]:
    faults: dict[str, str] = {}
    for number, line in enumerate(each for each in lines if each.strip()):
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            row, faults[f"row {number}"] = {}, str(error)
        if not isinstance(row, dict):
            row, faults[f"row {number}"] = {}, "is not an object"
        yield row
    _check_rows(faults, location, "one JSON object per line")


def _object(pairs: list[tuple[str, object]]) -> Row:
    """Return a JSON object; of two values of one key, neither is more likely to be right."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(
            name for name, times in Counter(name for name, _ in pairs).items() if times > 1
        )
        raise ValueError(f"the key {text_of(twice)!r} occurs twice")
    return found


def _check_rows(faults: dict[str, str], location: str, expected: str) -> None:
    if faults:
        raise RecipeError(
            f"{location}: invalid rows: {len(faults):,}, expected {expected}"
            f" (rows are counted from 0):\n{name_all(faults)}"
        )
