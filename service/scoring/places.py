"""Read pictures and tables: files of this machine, and objects of a bucket."""

import io
import os
import posixpath
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from oodguard.models.errors import ImageError, ImageTooLarge, RecipeError, install_hint
from oodguard.service.s3_bucket import (
    S3_SCHEME,
    describe_store_error,
    open_bucket,
    panics_as_errors,
)
from oodguard.sources.special_file import is_special

TIMEOUT = timedelta(seconds=60)
"""Of one request to a store."""

RETRY_TIMEOUT = timedelta(minutes=5)
"""The time in which the requests of one object are repeated while the store fails."""

READ_BYTES = 2**20
"""The number of bytes of a table in one request to a store."""


class Place(Protocol):
    """A place of pictures and tables."""

    def read(self, name: str) -> bytes:
        """Return the content of a picture.

        Raises:
            ImageError: It cannot be read, or has more bytes than the limit.
        """

    def open(self, name: str) -> BinaryIO:
        """Open a table.

        Raises:
            RecipeError: It cannot be opened.
        """

    def resolve(self, table: str, value: str) -> str:
        """Return the name of a picture that a table names: relative to the table, or in full."""


class Files:
    """Files of this machine by their paths.

    Args:
        max_bytes: The most bytes of a picture.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def read(self, name: str) -> bytes:
        """Return the content of a picture."""
        if name.startswith(S3_SCHEME):
            raise ImageError("the table names an object of a bucket: put the table into the bucket")
        path = Path(name)
        try:
            if is_special(path):
                raise ImageError("the path is a pipe or a device, expected an image file")
            with path.open("rb") as file:
                # `read` allocates what it may return.
                size = os.fstat(file.fileno()).st_size
                data = file.read(min(size, self._max_bytes) + 1)
        except OSError as error:
            raise ImageError(f"the file cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ImageError(f"the path is invalid: {error}") from error
        check_size(len(data), self._max_bytes)
        return data

    def open(self, name: str) -> BinaryIO:
        """Open a table."""
        try:
            return Path(name).open("rb")
        except OSError as error:
            raise RecipeError(f"{name}: cannot read the data: {error.strerror}") from error

    def resolve(self, table: str, value: str) -> str:
        """Return the path of a picture that a table names."""
        if value.startswith(S3_SCHEME):
            return value
        return os.path.join(os.path.dirname(table), value)  # noqa: PTH118, PTH120 - many names


class Bucket:
    """Objects of an S3 bucket by their names below a URL. AWS_* variables set endpoint and keys.

    Args:
        url: `s3://BUCKET` or `s3://BUCKET/PREFIX`.
        max_bytes: The most bytes of a picture.

    Raises:
        RecipeError: The extra is not installed, or the URL or an AWS_* variable is invalid.
    """

    def __init__(self, url: str, max_bytes: int) -> None:
        try:
            import obstore  # noqa: PLC0415 - an extra
            from obstore.exceptions import BaseError, InvalidPathError  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise RecipeError(f"{error.name} is not installed. {install_hint('s3')}") from error
        self._obstore = obstore
        self._errors = (BaseError, OSError, ValueError)
        self._invalid_name = InvalidPathError
        self._url = url
        self._max_bytes = max_bytes
        try:
            self._store = open_bucket(url, timeout=TIMEOUT, retry={"retry_timeout": RETRY_TIMEOUT})
        except (BaseError, ValueError) as error:
            raise RecipeError(
                f"{url}: the store cannot be used: {describe_store_error(error)}"
            ) from error

    def list(self) -> Iterator[tuple[str, int, str]]:
        """Yield the name, the size in bytes and the version of each object, in the store's order.

        Raises:
            RecipeError: The store cannot be read.
        """
        try:
            with panics_as_errors():
                for page in self._obstore.list(self._store):
                    for each in page:
                        version = each["e_tag"] or each["last_modified"].isoformat()
                        yield each["path"], each["size"], version
        except self._invalid_name as error:
            reason = str(error).partition("\n\nDebug")[0].replace("\n", "\\n")
            raise RecipeError(
                f"{self._url}: cannot list the objects: {reason}. Expected names without empty"
                " parts, '.', '..' and control characters: rename the object, or name prefixes"
                " without it"
            ) from error
        except self._errors as error:
            raise RecipeError(
                f"{self._url}: cannot list the objects: {describe_store_error(error)}"
            ) from error

    def read(self, name: str) -> bytes:
        """Return the content of a picture.

        A store that fails ends the run, which can be continued: its error concerns no picture.

        Raises:
            ImageError: There is no such object, or it has more bytes than the limit.
            RecipeError: The store cannot be read.
        """
        if name.startswith(S3_SCHEME):
            raise ImageError(f"the object is in another bucket, expected one of {self._url}")
        try:
            with panics_as_errors():
                found = self._obstore.get(self._store, name)
            check_size(found.meta["size"], self._max_bytes)
            return bytes(found.bytes())
        except ImageError:
            raise
        except FileNotFoundError as error:
            raise ImageError("the object does not exist") from error
        except self._errors as error:
            raise RecipeError(
                f"{self._url}/{name}: cannot read: {describe_store_error(error)}"
            ) from error

    def open(self, name: str) -> BinaryIO:
        """Open a table."""
        try:
            with panics_as_errors():
                opened = self._obstore.open_reader(self._store, name)
            reader = _Reader(opened, self._errors)
            return cast("BinaryIO", io.BufferedReader(reader, READ_BYTES))
        except self._errors as error:
            raise RecipeError(
                f"{self._url}/{name}: cannot read: {describe_store_error(error)}"
            ) from error

    def resolve(self, table: str, value: str) -> str:
        """Return the name of an object that a table names, also by its URL."""
        if value.startswith(S3_SCHEME):
            return value.removeprefix(f"{self._url}/")
        folder = posixpath.dirname(table)
        return posixpath.normpath(posixpath.join("/", folder, value)).lstrip("/")


class _Reader(io.RawIOBase):
    """An object as a file of Python, which pyarrow reads."""

    def __init__(self, reader: Any, errors: tuple[type[Exception], ...]) -> None:  # noqa: ANN401
        self._reader = reader
        self._errors = errors

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return int(self._reader.seek(offset, whence))

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - a writable buffer
        view = memoryview(buffer).cast("B")
        try:
            data = bytes(self._reader.read(len(view)))
        except self._errors as error:
            raise OSError(describe_store_error(error)) from error
        view[: len(data)] = data
        return len(data)


def check_size(size: int, max_bytes: int) -> None:
    """Check the size of a picture.

    Raises:
        ImageTooLarge: It has too many bytes.
    """
    if size > max_bytes:
        raise ImageTooLarge(
            f"the image has more than {max_bytes} bytes, expected at most that many: set"
            " OODGUARD_MAX_BODY_BYTES"
        )
