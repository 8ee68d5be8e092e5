"""A listed source of pictures: workers read it by the positions of pictures."""

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, PlainSerializer, ValidationInfo

from oodguard.models.frozen_model import FrozenModel
from oodguard.service.scoring.name_list import read_names


def _from_json(path: Path, info: ValidationInfo) -> Path:
    return Path(os.fsdecode(str(path).encode("latin-1"))) if info.mode == "json" else path


def _to_json(path: Path) -> str:
    return os.fsencode(path).decode("latin-1")


SentPath: TypeAlias = Annotated[
    Path, AfterValidator(_from_json), PlainSerializer(_to_json, when_used="json")
]
"""A path that workers receive as JSON: each byte is a character, as it may not be UTF-8."""


SHOWN = 3
"""The number of arguments that messages name; a shell makes thousands of a pattern."""


def abbreviated(arguments: Sequence[str]) -> str:
    """Return the first arguments of a source, and the number of the others."""
    shown, others = ", ".join(arguments[:SHOWN]), len(arguments) - SHOWN
    return f"{shown} and {others:,} more" if others > 0 else shown


class Segment(FrozenModel):
    """Consecutive pictures of a source.

    Attributes:
        rows: The number of pictures.
        bucket: The URL that names are relative to; None: names are paths of files.
        table: The table whose rows these are; None: each picture is a file or an object.
        column: The column of pictures of a Parquet table; None: the names are in the list.
        first: The row of the first name in the list of names.
    """

    rows: int
    bucket: str | None = None
    table: str | None = None
    column: str | None = None
    first: int = 0


class PictureSource(FrozenModel):
    """A listed source.

    Attributes:
        arguments: The source as it was given.
        segments: Its parts in their order.
        names: The list of names.
        sha256: Of the names, sizes and times of all files, to recognize the same source.
        skipped: The numbers of files that are not read, by ending.
        repeated: The number of files that several arguments contain, which are read once.
    """

    arguments: tuple[str, ...]
    segments: tuple[Segment, ...]
    names: SentPath
    sha256: str
    skipped: dict[str, int]
    repeated: int = 0

    @property
    def rows(self) -> int:
        """The number of pictures."""
        return self.starts[-1]

    @cached_property
    def starts(self) -> list[int]:
        """The position of the first picture of each segment, and the number of pictures."""
        return list(accumulate((each.rows for each in self.segments), initial=0))

    def between(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Yield the segments of the pictures `start` to `stop`, exclusive.

        Each is the number of the segment, and the first and the last row in it, exclusive.
        """
        starts = self.starts
        for number in range(max(0, bisect_right(starts, start) - 1), len(self.segments)):
            if starts[number] >= stop:
                return
            low, high = max(start, starts[number]), min(stop, starts[number + 1])
            if low < high:
                yield number, low - starts[number], high - starts[number]

    def names_between(self, start: int, stop: int) -> Iterator[str | None]:
        """Yield the names of the pictures `start` to `stop` that are not rows of Parquet tables."""
        for number, low, high in self.between(start, stop):
            segment = self.segments[number]
            if segment.column is None:
                yield from read_names(self.names, segment.first + low, segment.first + high)
