"""Open a bucket of S3 or of a compatible store, and state the errors of the store.

The extra `s3` is imported when a bucket is opened. The AWS_* variables set endpoint, region and
keys.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from obstore.store import RetryConfig, S3Config, S3Store

S3_SCHEME = "s3://"
"""The beginning of a URL of a bucket."""

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_METADATA_ENDPOINT")
"""The variables of endpoints. With an invalid one, the store panics at the first request."""

_ENDPOINT = re.compile(
    r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!-~]*)?", re.IGNORECASE
)
_REGION = re.compile(r"[A-Za-z0-9._-]+")
"""It is a part of the host name if no endpoint is set."""

MAX_PORT, FIRST_PRINTABLE = 65_535, 0x20

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


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
    _check_variables()
    from obstore.store import S3Store  # noqa: PLC0415 - an extra

    bucket, *prefix = url.removeprefix(S3_SCHEME).split("/")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(
            f"the bucket is {bucket!r}, expected letters, digits, dots, hyphens and underscores"
        )
    if {".", ".."} & set(prefix):
        raise ValueError("the prefix has a part '.' or '..', expected names")
    return S3Store.from_url(
        # The store decodes the URL.
        S3_SCHEME + bucket + quote(url.removeprefix(S3_SCHEME + bucket)),
        config=config,
        # Applies if the configured endpoint is http.
        client_options={"timeout": timeout, "allow_http": True},
        retry_config=retry,
    )


def _check_variables() -> None:
    """Check the AWS_* variables whose values would end in a panic of the store.

    Raises:
        ValueError: The error names the variable, and no secret.
    """
    for name in ENDPOINTS:
        endpoint = os.environ.get(name)
        if endpoint and (found := _ENDPOINT.fullmatch(endpoint)) is None:
            shown = re.sub("//.*@", "//***@", endpoint)
            raise ValueError(f"{name} is {shown!r}, expected http://HOST:PORT or https://HOST")
        if endpoint and found and int((found[2] or ":0")[1:]) > MAX_PORT:
            raise ValueError(f"{name} is {endpoint!r}, expected a port of at most {MAX_PORT}")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        region = os.environ.get(name)
        if region and not _REGION.fullmatch(region):
            raise ValueError(f"{name} is {region!r}, expected a region such as eu-central-1")
    for name, value in os.environ.items():
        if name.startswith("AWS_") and any(ord(each) < FIRST_PRINTABLE for each in value):
            raise ValueError(
                f"{name} has a control character, such as the newline at the end of a file,"
                " expected none"
            )


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Raise a panic of the store, which is no Exception, as a ValueError."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"the store failed, check the AWS_* variables: {error}") from error


def describe_store_error(error: BaseException) -> str:
    """Return the first line of a store's error, or what it means if that is known."""
    if "<Code>NoSuchBucket</Code>" in str(error):
        return (
            "the bucket does not exist. Correct its name, or set AWS_ENDPOINT_URL and AWS_REGION"
            " to those of the bucket"
        )
    if "/latest/api/token" in str(error):
        # The last place to look for keys is the service of a virtual machine of AWS.
        return "no keys are set, expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    return str(error).partition("\n")[0]
