"""Open a bucket of S3 or of a compatible store, and state the errors of the store.

The extra `s3` is imported when a bucket is opened. The AWS_* variables set endpoint, region and
keys.
"""

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from obstore.store import RetryConfig, S3Config, S3Store

S3 = "s3://"
"""The beginning of a URL of a bucket."""


def open_bucket(
    url: str, *, timeout: timedelta, retry: "RetryConfig", config: "S3Config | None" = None
) -> "S3Store":
    """Return the store of the objects below a prefix. No request is sent.

    Args:
        url: `s3://BUCKET` or `s3://BUCKET/PREFIX`. The prefix is taken as it is written, also with
            `%20` or `#`.
        timeout: The time limit of one request.
        retry: How requests are repeated while the store fails.
        config: Further settings of the store.

    Raises:
        ModuleNotFoundError: The extra is not installed.
        BaseError: The URL or an AWS_* variable is invalid. It is an error of obstore.
        ValueError: The same.
    """
    from obstore.store import S3Store  # noqa: PLC0415 - an extra

    bucket = "/".join(url.split("/")[:3])
    return S3Store.from_url(
        # The store decodes the URL.
        bucket + quote(url.removeprefix(bucket)),
        config=config,
        # Applies if the configured endpoint is http.
        client_options={"timeout": timeout, "allow_http": True},
        retry_config=retry,
    )


def describe_store_error(error: BaseException) -> str:
    """Return the first line of a store's error, or the remedy for a bucket that does not exist."""
    if "NoSuchBucket" in str(error):
        return (
            "the bucket does not exist. Correct its name, or set AWS_ENDPOINT_URL and AWS_REGION"
            " to those of the bucket"
        )
    return str(error).partition("\n")[0]
