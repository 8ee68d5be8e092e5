"""Write exported samples to a folder or a tar archive."""

import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from oodguard.service.errors import SampleStoreError
from oodguard.service.regular_file import PRIVATE_FILE, PRIVATE_FOLDER, write_new_file

if TYPE_CHECKING:
    from oodguard.service.sampling.stored import Record  # so that help is quick

STDOUT = Path("-")

TAR = ".tar"


class Writer(Protocol):
    """Writes the files of an export."""

    def write(self, path: str, data: bytes, record: "Record") -> None:
        """Write an image to `CLASS/FILE`."""


class FolderWriter:
    """Writes to a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, path: str, data: bytes, _record: "Record") -> None:
        """Write an image to `CLASS/FILE`."""
        file = self._folder / path
        file.parent.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        write_new_file(file, data, mode=PRIVATE_FILE)


class TarWriter:
    """Writes to a tar archive."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive

    def write(self, path: str, data: bytes, record: "Record") -> None:
        """Write an image to `CLASS/FILE`."""
        member = tarfile.TarInfo(path)
        member.size, member.mtime = len(data), int(record.time.timestamp())
        member.mode = PRIVATE_FILE
        self._archive.addfile(member, BytesIO(data))


@contextmanager
def open_writer(out: Path) -> Iterator[Writer]:
    """Open a new folder, a new tar archive, or a stream of one on standard output.

    Raises:
        SampleStoreError: The output exists or cannot be written.
    """
    if out == STDOUT:
        # Closing the archive writes too, also after an error.
        with output_errors(out), tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
            yield TarWriter(archive)
    elif out.suffix == TAR:
        with output_errors(out):
            out.touch(mode=PRIVATE_FILE, exist_ok=False)
            archive = tarfile.open(out, "w")  # noqa: SIM115 - closed below
        try:
            with output_errors(out), archive:
                yield TarWriter(archive)
        except BaseException:
            # An incomplete archive would be used, or refused as an existing output.
            out.unlink(missing_ok=True)
            raise
    else:
        with output_errors(out):
            out.mkdir(mode=PRIVATE_FOLDER, parents=True)
        yield FolderWriter(out)


@contextmanager
def output_errors(out: Path) -> Iterator[None]:
    """Raise a SampleStoreError that names the output if it cannot be written."""
    try:
        yield
    except OSError as error:
        name = "standard output" if out == STDOUT else out
        raise SampleStoreError(f"{name} cannot be written: {error.strerror}") from error
