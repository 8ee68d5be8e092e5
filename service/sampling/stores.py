"""Stores of sample files: the interface, the folder, and the choice by the setting.

The sampler's thread and commands call a store, so a store may block.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from oodguard.models.errors import install_hint
from oodguard.service.errors import SampleStoreError, SamplingError, UnreadableFile
from oodguard.service.regular_file import (
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    read_regular_file,
    write_new_file,
)
from oodguard.service.s3_bucket import S3_SCHEME
from oodguard.service.sampling.sample import stem_of

PARTIAL = ".part"

# A running replica may write a younger one to the same folder.
ABANDONED_S = 60

# Also a mistyped one, such as s3:/bucket, which would be created as the folder "s3:".
_URL = re.compile(r"[a-z][a-z0-9+.-]*:/|s3:", re.IGNORECASE)

EXPECTED = f"expected a folder or {S3_SCHEME}BUCKET/PREFIX"


class SampleStore(Protocol):
    """Files by name, each written atomically.

    Every method raises SampleStoreError if the store fails.
    """

    def list_files(self) -> Iterable[tuple[str, int]]:
        """Return the name and the size in bytes of every file."""

    def list_names(self) -> Iterable[str]:
        """Yield the name of every file, in any order, without a look at the files."""

    def get(self, name: str, max_bytes: int) -> bytes:
        """Read a file; a larger one is an error."""

    def put(self, name: str, data: bytes) -> None:
        """Write a file."""

    def remove(self, name: str) -> None:
        """Remove a file; a missing file is no error."""


class FolderStore:
    """Files in a folder; anything else in it, such as a link or a pipe, is ignored."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Create the folder, remove old partial files of a killed process, and try to write.

        Raises:
            SamplingError: The folder cannot be created or written.
        """
        folder = self._folder
        try:
            folder.mkdir(parents=True, mode=PRIVATE_FOLDER, exist_ok=True)
            for path in folder.glob(f"*{PARTIAL}"):
                if stem_of(path.name.removesuffix(PARTIAL)) and _is_abandoned(path):
                    path.unlink(missing_ok=True)
            probe = folder / f".oodguard{PARTIAL}"
            write_new_file(probe, b"", mode=PRIVATE_FILE)
            probe.unlink()
        except OSError as error:
            raise SamplingError(
                f"Samples cannot be written to {folder}: {error.strerror}. Set OODGUARD_SAMPLE_TO"
                " to a folder that this process may write."
            ) from error

    def list_files(self) -> Iterable[tuple[str, int]]:
        """Return the name and the size in bytes of every file."""
        files = []
        with _store_errors(self._folder), os.scandir(self._folder) as entries:
            for each in entries:
                # The file may be removed in the meantime, by retention for example.
                with suppress(FileNotFoundError):
                    if each.is_file(follow_symlinks=False):
                        files.append((each.name, each.stat(follow_symlinks=False).st_size))
        return files

    def list_names(self) -> Iterable[str]:
        """Yield the name of every file, in any order, without a look at the files."""
        with _store_errors(self._folder), os.scandir(self._folder) as entries:
            yield from (each.name for each in entries if each.is_file(follow_symlinks=False))

    def get(self, name: str, max_bytes: int) -> bytes:
        """Read a file; a larger one is an error."""
        path = self._folder / name
        with _store_errors(path):
            try:
                return read_regular_file(path, max_bytes, follow=False)
            except UnreadableFile as error:
                raise SampleStoreError(str(error)) from error

    def put(self, name: str, data: bytes) -> None:
        """Write a file under a temporary name, then rename it."""
        partial = self._folder / f"{name}{PARTIAL}"
        with _store_errors(partial):
            write_new_file(partial, data, mode=PRIVATE_FILE)
            partial.replace(self._folder / name)

    def remove(self, name: str) -> None:
        """Remove a file; a missing file is no error."""
        path = self._folder / name
        with _store_errors(path):
            path.unlink(missing_ok=True)


def _is_abandoned(path: Path) -> bool:
    try:
        return path.lstat().st_mtime < time.time() - ABANDONED_S
    except FileNotFoundError:  # renamed by its writer
        return False


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    """Describe the errors of an operation on `path`; those of a write do not name it."""
    try:
        yield
    except OSError as error:
        raise SampleStoreError(f"{error.filename or path}: {error.strerror}") from error


def open_store(location: str, *, write: bool) -> SampleStore:
    """Open the store at `location`: a folder, or an S3 URL.

    Args:
        location: As in OODGUARD_SAMPLE_TO.
        write: Create the folder, and check that it can be written.

    Raises:
        SamplingError: The location is invalid, not writable, or needs a package that is missing.
    """
    if location.startswith(S3_SCHEME):
        if location.removeprefix(S3_SCHEME).startswith("/") or location == S3_SCHEME:
            raise SamplingError(
                f"OODGUARD_SAMPLE_TO is {location}, which names no bucket, {EXPECTED}."
            )
        # obstore is an optional extra.
        try:
            from oodguard.service.sampling.s3_store import S3Store  # noqa: PLC0415
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith("obstore"):
                raise
            raise SamplingError(
                f"OODGUARD_SAMPLE_TO is {location}, which requires obstore. {install_hint('s3')}."
            ) from error
        return S3Store(location)
    if _URL.match(location):
        raise SamplingError(f"OODGUARD_SAMPLE_TO is {location}, {EXPECTED}.")
    store = FolderStore(Path(location))
    if write:
        store.prepare()
    return store
