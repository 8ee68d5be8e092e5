"""What a place for samples can do. Called in the sampler's thread alone, which may wait for it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from oodguard.service.errors import SampleStoreError, SamplingError
from oodguard.service.sampling.sample import stem_of

PARTIAL = ".part"


class FolderStore:
    """Files in a folder, made if it is not there. What a killed process left half-written goes.

    Args:
        folder: The folder.

    Raises:
        SamplingError: It cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            for path in folder.glob(f"*{PARTIAL}"):
                if stem_of(path.name.removesuffix(PARTIAL)):
                    path.unlink(missing_ok=True)
            self._write(folder / f".oodguard{PARTIAL}", b"")
            (folder / f".oodguard{PARTIAL}").unlink()
        except OSError as error:
            raise SamplingError(
                f"samples cannot be kept in {folder}: {error.strerror}; a folder that this process"
                " may write is wanted"
            ) from error

    def held(self) -> Iterable[tuple[str, int]]:
        """Name and bytes of every file."""
        with _failures():
            return [(each.name, each.stat().st_size) for each in os.scandir(self._folder)]

    def put(self, name: str, data: bytes) -> None:
        """Write a file beside its place, then move it there."""
        with _failures():
            partial = self._folder / f"{name}{PARTIAL}"
            self._write(partial, data)
            partial.replace(self._folder / name)

    def remove(self, name: str) -> None:
        """Remove a file."""
        with _failures():
            (self._folder / name).unlink(missing_ok=True)

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SampleStoreError(f"{error.filename}: {error.strerror}") from error


class SampleStore(Protocol):
    """Files by name, each written as a whole or not at all.

    Every method raises SampleStoreError where the place does not do its part.
    """

    def held(self) -> Iterable[tuple[str, int]]:
        """Name and bytes of every file that is there."""

    def put(self, name: str, data: bytes) -> None:
        """Write a file."""

    def remove(self, name: str) -> None:
        """Remove a file, which may be gone already."""
