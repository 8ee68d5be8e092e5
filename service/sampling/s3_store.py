"""Store samples in S3 or a compatible object store. Importing it needs the extra `s3`."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import obstore
from obstore.exceptions import BaseError

from oodguard.service.errors import SampleStoreError, SamplingError
from oodguard.service.s3_bucket import describe_store_error, open_bucket, panics_as_errors

# Shorter than the time in which the sample queue fills up.
TIMEOUT = timedelta(seconds=10)

RETRIES = 2


class S3Store:
    """Objects below a prefix of a bucket. The AWS_* variables set endpoint, region and keys.

    No request is sent before the first sample, so an unavailable store does not prevent the start.

    Args:
        url: `s3://BUCKET/PREFIX`.

    Raises:
        SamplingError: The URL or an AWS_* variable is invalid.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            self._store = open_bucket(
                url,
                timeout=TIMEOUT,
                retry={"max_retries": RETRIES, "retry_timeout": TIMEOUT},
                # Not every compatible store supports bulk deletion.
                config={"disable_bulk_delete": True},
            )
        except (BaseError, ValueError) as error:
            raise SamplingError(
                f"The store of samples {url} cannot be used: {describe_store_error(error)}"
            ) from error

    def list_files(self) -> Iterable[tuple[str, int]]:
        """Return the name and the size in bytes of every object below the prefix."""
        with self._errors():
            return [
                (each["path"], each["size"]) for page in obstore.list(self._store) for each in page
            ]

    def list_names(self) -> Iterable[str]:
        """Yield the name of every object, in any order."""
        with self._errors():
            yield from (each["path"] for page in obstore.list(self._store) for each in page)

    def get(self, name: str, max_bytes: int) -> bytes:
        """Read an object; a larger one is an error."""
        with self._errors():
            found = obstore.get(self._store, name)
            if found.meta["size"] > max_bytes:
                raise SampleStoreError(f"{name}: larger than the limit of {max_bytes} bytes")
            return bytes(found.bytes())

    def put(self, name: str, data: bytes) -> None:
        """Write an object; S3 makes it visible when it is complete."""
        with self._errors():
            obstore.put(self._store, name, data, use_multipart=False)

    def remove(self, name: str) -> None:
        """Remove an object; a missing object is no error."""
        with self._errors(), suppress(FileNotFoundError):
            obstore.delete(self._store, name)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with panics_as_errors():
                yield
        except (BaseError, OSError, ValueError) as error:
            raise SampleStoreError(f"{self._url}: {describe_store_error(error)}") from error
