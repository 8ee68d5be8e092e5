"""List tables of images: Parquet, CSV and JSON files, or a folder of such shards.

An image is encoded bytes, a struct of bytes and a path, or a path, which starts from the folder of
its table.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oodguard.models.errors import RecipeError
from oodguard.models.names import text_of
from oodguard.sources.columns import choose_columns, encode_labels
from oodguard.sources.endings import TABLE_ENDINGS, ending
from oodguard.sources.groups import check_groups_given, number_groups
from oodguard.sources.listing import Encoded, Listing, check_row_count, name_all
from oodguard.sources.shards import Shard, open_shard
from oodguard.sources.source import Source
from oodguard.sources.source_options import way_to_set
from oodguard.sources.special_file import is_special
from oodguard.sources.splits import TRAINING, split_of


def list_tables(paths: Sequence[Path], source: Source) -> Listing:
    """List the rows of one or more tables in their order.

    Raises:
        RecipeError: A table cannot be read, has no column of images, or has invalid rows, which
            the error names.
    """
    location = ", ".join(map(text_of, paths))
    shards = list(_open_all([file for path in paths for file in _files(path)], location))
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
    if source.group:
        check_groups_given(location, groups, [f"row {row}" for row in range(rows)])
    given = labels if columns.label else None
    classes, numbers = encode_labels(given, columns.names, rows=rows, location=location)
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
        group_values=number_groups(groups, 0 * numbers) if source.group else None,
        rows=np.arange(rows),
        read=read,
        image_column=columns.image,
        columns=tuple(first.schema.names),
        files=None if all(shard.has_texts(columns.image) for shard in shards) else files,
    )
    if not source.skip_broken:
        _check_files(listing, columns.image, shards, starts)
    return listing


def _open_all(files: Sequence[Path], location: str) -> Iterator[Shard]:
    rows = 0
    for file in files:
        shard = open_shard(file)
        rows += shard.rows
        check_row_count(rows, location=location)
        yield shard


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
            f"{listing.location}: missing images: {len(missing):,} of {len(listing):,}; paths"
            f" start from the folder of the table, and rows are counted from 0:\n"
            f"{name_all(missing)}\n"
            f"Correct these rows, or leave them out with {way_to_set('skip_broken', 'true')}"
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
        RecipeError: There is no table, or the folder contains the tables of several splits.
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
    splits = {split_of(text_of(each.stem)) for each in files}
    if len(splits) > 1 and splits - {None, TRAINING}:
        names = ", ".join(sorted(split or "others" for split in splits))
        raise RecipeError(
            f"{text_of(path)}: contains the splits {names}, expected the tables"
            f' of one. List its files: table = ["{text_of(files[0])}", ...]'
        )
    return files
