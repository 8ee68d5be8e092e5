"""Rows of CSV and JSON files; a text that is not UTF-8 may still be a path."""

import codecs
import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from oodguard.models.errors import RecipeError
from oodguard.models.names import text_of
from oodguard.sources.listing import check_names, name_all

Row = Mapping[str, object]

INSPECTED = 4096
"""The number of bytes at the start of a file that decide on its format."""


def read_rows(path: Path) -> list[Row]:
    """Read a CSV file, a JSON array of objects, or JSON Lines; a byte order mark is ignored.

    Raises:
        RecipeError: The text is not UTF-8, or has invalid rows, which the error names.
        csv.Error: The text is not CSV.
    """
    with path.open("rb") as file:
        start = file.read(INSPECTED)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise RecipeError(
            f"{text_of(path)}: the text is UTF-16, expected UTF-8: save the table with this"
            " encoding"
        )
    if b"\0" in start:
        raise RecipeError(
            f"{text_of(path)}: the file is binary and not Parquet, expected a table as Parquet, CSV"
            " or JSON: convert it"
        )
    first = start.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        if first == b"[":
            return _json_array(file.read(), path)
        return _json_lines(file, path) if first == b"{" else _csv_rows(file, path)


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


def _json_array(text: str, path: Path) -> list[Row]:
    try:
        rows = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise RecipeError(
            f"{text_of(path)}: the text starts with '[' and is not a JSON array: {error}. Expected"
            " an array of objects, or one JSON object per line"
        ) from error
    faults = {
        f"row {number}": "is not an object"
        for number, row in enumerate(rows)
        if not isinstance(row, dict)
    }
    _check_rows(faults, path, "an array of JSON objects")
    return list(rows)


def _json_lines(lines: Iterator[str], path: Path) -> list[Row]:
    rows: list[Row] = []
    faults: dict[str, str] = {}
    for number, line in enumerate(each for each in lines if each.strip()):
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            row, faults[f"row {number}"] = {}, str(error)
        if not isinstance(row, dict):
            row, faults[f"row {number}"] = {}, "is not an object"
        rows.append(row)
    _check_rows(faults, path, "one JSON object per line")
    return rows


def _object(pairs: list[tuple[str, object]]) -> Row:
    """Return a JSON object; of two values of one key, neither is more likely to be right."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(
            name for name, times in Counter(name for name, _ in pairs).items() if times > 1
        )
        raise ValueError(f"the key {text_of(twice)!r} occurs twice")
    return found


def _check_rows(faults: dict[str, str], path: Path, expected: str) -> None:
    if faults:
        raise RecipeError(
            f"{text_of(path)}: {len(faults):,} rows are invalid, expected {expected}"
            f" (rows are counted from 0):\n{name_all(faults)}"
        )
