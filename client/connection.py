"""The connection of a client: its URL, its API key, and its HTTP client."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

from oodguard.client.retries import RequestDeadline

CONCURRENCY = 4
"""The requests of one `predict_many` that are sent at the same time."""

# The service closes a connection after five seconds without a request.
KEEPALIVE_S = 3.0

MAX_DEADLINE_S = 999_999
"""The longest deadline: X-Timeout-Ms has nine digits."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,48}", re.ASCII)

_KEY = re.compile(r"[!-~]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientOptions:
    """The options of a client, checked. The key is only in the HTTP client, which masks it."""

    url: str
    deadline_s: float
    concurrency: int
    process: int = field(default_factory=os.getpid)

    def __post_init__(self) -> None:
        if not 0 < self.deadline_s <= MAX_DEADLINE_S:
            raise ValueError(
                f"deadline_s is {self.deadline_s}, expected seconds above 0 and at most"
                f" {MAX_DEADLINE_S}"
            )
        if self.concurrency < 1:
            raise ValueError(f"concurrency is {self.concurrency}, expected at least 1")

    def deadline(self) -> RequestDeadline:
        """Return the deadline of a request that starts now.

        Raises:
            RuntimeError: The process is a fork of that of the client. Both would read the responses
                of the same connections, and take each other's verdicts.
        """
        if self.process != os.getpid():
            raise RuntimeError(
                f"the client was created in process {self.process} and is used in its fork"
                f" {os.getpid()}: create one in each process"
            )
        return RequestDeadline(self.deadline_s)

    def http_arguments(self, key: str | None) -> dict[str, Any]:
        """Return the arguments of the HTTP client."""
        return {
            "base_url": self.url,
            "headers": {
                # A compressed response may expand to any size; those of the service are not.
                "Accept-Encoding": "identity",
                **({} if key is None else {"Authorization": f"Bearer {checked_key(key)}"}),
            },
            "limits": httpx2.Limits(
                max_connections=None,
                max_keepalive_connections=self.concurrency,
                keepalive_expiry=KEEPALIVE_S,
            ),
            # A redirect could lead the key and the images to another host.
            "follow_redirects": False,
        }


@contextmanager
def environment_errors() -> Iterator[None]:
    """Describe what an HTTP client cannot use of the environment.

    Raises:
        ValueError: A variable is invalid. Its value is not repeated: it may contain a password.
    """
    try:
        yield
    except (ImportError, OSError, httpx2.InvalidURL) as error:
        cause = error.strerror if isinstance(error, OSError) else str(error)
    except ValueError:
        cause = "the URL of a proxy begins with none of http://, https:// and socks5://"
    else:
        return
    raise ValueError(
        "the variables for a proxy (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) or for certificates"
        f" (SSL_CERT_FILE, SSL_CERT_DIR) cannot be used: {cause}"
    )


def checked_url(url: str) -> str:
    """Return the URL of the service without a slash at its end.

    Raises:
        ValueError: It is no URL of a service.
    """
    expected = "expected one such as http://localhost:8000"
    try:
        parts = urlsplit(url)
        valid = (
            parts.scheme in {"http", "https"}
            and parts.port != 0
            and url.isprintable()
            and " " not in url
            and bool(httpx2.URL(url).raw_host.decode("ascii").encode("idna"))
        )
    except (ValueError, httpx2.InvalidURL):
        valid = False
    else:
        if parts.username is not None or parts.password is not None:
            # Not repeated: it may contain a password.
            raise ValueError(f"the URL contains a user or a password, {expected} and a key")
        if parts.query or parts.fragment:
            valid = False
    if not valid:
        raise ValueError(f"the URL is {url!r}, {expected}")
    return url.rstrip("/")


def checked_key(key: str) -> str:
    """Return an API key without white space around it.

    Raises:
        ValueError: It cannot be in a header. The message does not contain it.
    """
    stripped = key.strip()
    if not _KEY.fullmatch(stripped):
        raise ValueError(
            f"the API key has {len(stripped)} characters, expected one line of printable ASCII"
            " characters without spaces, such as oodguard_ID_SECRET"
        )
    return stripped


def check_request_id(request_id: str | None) -> None:
    """Check an id of the caller: the service replaces an invalid one by its own.

    Raises:
        ValueError: It is invalid.
    """
    if request_id is not None and not _REQUEST_ID.fullmatch(request_id):
        raise ValueError(
            f"request_id is {request_id!r}, expected 1 to 48 letters, digits, '.', '_' or '-'"
        )
