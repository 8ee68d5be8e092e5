"""Samples in an S3-compatible store. The only import of obstore."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store as ObstoreS3

from oodguard.service.errors import SampleStoreError, SamplingError

# Well below what the queue of samples takes to fill: a store that hangs is given up.
TIMEOUT = timedelta(seconds=10)

RETRIES = 2


class S3Store:
    """Objects below a prefix of a bucket; endpoint, region and keys are the AWS_* variables'.

    Nothing is sent before the first sample: a store that is away keeps nobody from starting.

    Args:
        url: `s3://BUCKET/PREFIX`.

    Raises:
        SamplingError: The URL or a variable is not what S3 wants.
    """

    def __init__(self, url: str) -> None:
        try:
            self._store = ObstoreS3.from_url(
                url,
                # One by one: not every store has the call that removes many.
                config={"disable_bulk_delete": True},
                # Taken where the endpoint that was set says http.
                client_options={"timeout": TIMEOUT, "allow_http": True},
                retry_config={"max_retries": RETRIES, "retry_timeout": TIMEOUT},
            )
        except (BaseError, ValueError) as error:
            raise SamplingError(f"samples cannot be kept in {url}: {error}") from error

    def held(self) -> Iterable[tuple[str, int]]:
        """Name and bytes of every object below the prefix."""
        with _failures():
            return [
                (each["path"], each["size"]) for page in obstore.list(self._store) for each in page
            ]

    def put(self, name: str, data: bytes) -> None:
        """Write an object; S3 shows it when it is whole."""
        with _failures():
            obstore.put(self._store, name, data, use_multipart=False)

    def remove(self, name: str) -> None:
        """Remove an object."""
        with _failures(), suppress(FileNotFoundError):
            obstore.delete(self._store, name)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        raise SampleStoreError(str(error).partition("\n")[0]) from error
