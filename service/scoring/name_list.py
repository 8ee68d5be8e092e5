"""The paths of pictures in a file: any row is found without a list in memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np

INDEXED = 256
"""The number of rows between two recorded positions."""


class NameListWriter:
    """Write names one by one, in a context that closes the file.

    Args:
        path: The new file; its positions are written to the same name with `.npy`.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._index = path.with_name(path.name + ".npy")
        self._positions: list[int] = []
        self.rows = 0

    def add(self, name: str | None) -> None:
        """Add a name; None: the row of a table has none."""
        if self.rows % INDEXED == 0:
            self._positions.append(self._file.tell())
        # ASCII: also of names that are not UTF-8.
        self._file.write(json.dumps(name).encode() + b"\n")
        self.rows += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Finish the file."""
        self._file.close()
        with self._index.open("wb") as file:
            np.save(file, np.array(self._positions, np.int64))


def read_names(path: Path, start: int, stop: int) -> Iterator[str | None]:
    """Yield the names of rows `start` to `stop`, exclusive."""
    index = path.with_name(path.name + ".npy")
    positions = np.load(index, mmap_mode="r", allow_pickle=False)
    if start >= stop:
        return
    with path.open("rb") as file:
        file.seek(int(positions[start // INDEXED]))
        for _ in range(start % INDEXED):
            file.readline()
        for _ in range(start, stop):
            yield json.loads(file.readline())


def remove_names(path: Path) -> None:
    """Remove a list with its positions."""
    path.unlink(missing_ok=True)
    path.with_name(path.name + ".npy").unlink(missing_ok=True)
