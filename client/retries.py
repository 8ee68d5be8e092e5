"""Retries: which failures may end by themselves, and how long to wait.

A prediction has no effect that a repetition would double, except that the service counts its images
twice if only the response was lost. All waiting ends at the deadline of the request.
"""

import math
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from random import Random

import httpx2

CONNECT_TIMEOUT_S = 5.0
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 8.0

RETRIED = frozenset(
    {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE}
)
"""502 and 503 are also the answers of a proxy while the service restarts. A 504 is final: the same
work would take as long again."""

_DEADLINES = (httpx2.PoolTimeout, httpx2.ReadTimeout, httpx2.WriteTimeout)

_FINAL_FAULTS = (
    *_DEADLINES,
    httpx2.DecodingError,
    httpx2.LocalProtocolError,
    httpx2.UnsupportedProtocol,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A complete response, and the number of attempts until it was received."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """An attempt without a response.

    It has no reference to the error of the HTTP library, which refers to the headers of the
    request. `timed_out` states that the deadline ended the attempt.
    """

    text: str
    retried: bool
    timed_out: bool = False


def fault_of(error: httpx2.RequestError) -> Fault:
    """Return what is known of an attempt that failed."""
    timed_out = isinstance(error, _DEADLINES)
    text = str(error) or type(error).__name__
    return Fault(text, not isinstance(error, _FINAL_FAULTS) and not _is_refused(error), timed_out)


def _is_refused(error: BaseException) -> bool:
    """Return whether TLS refuses the server, such as its certificate; no lost connection."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


class RequestDeadline:
    """The end of the time for one request and its retries."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining_s(self) -> float:
        """Return the seconds that are left, at least 0."""
        return max(0.0, self._end - time.monotonic())

    def timeout(self) -> httpx2.Timeout:
        """Return the timeouts of one attempt."""
        remaining_s = self.remaining_s()
        return httpx2.Timeout(remaining_s, connect=min(CONNECT_TIMEOUT_S, remaining_s))

    def headers(self) -> Mapping[str, str]:
        """Return the header with which the service drops work that comes too late."""
        milliseconds = min(999_999_999, max(1, math.ceil(1000 * self.remaining_s())))
        return {"X-Timeout-Ms": str(milliseconds)}


def wait_before_retry(
    outcome: Received | Fault, attempt: int, remaining_s: float, random: Random
) -> float | None:
    """Return the seconds to wait before the next attempt, or None if the outcome is final.

    The wait is what Retry-After requires and, in addition, random: clients that were rejected at
    the same time return at different times. The random part doubles with every attempt (Brooker
    2015, "Exponential backoff and jitter").

    Args:
        outcome: The response, or the fault.
        attempt: The number of the attempt, from 0.
        remaining_s: The time until the deadline.
        random: The source of the random part.
    """
    if isinstance(outcome, Fault):
        if not outcome.retried:
            return None
        least = 0.0
    else:
        if outcome.status not in RETRIED:
            return None
        least = retry_after_s(outcome.headers) or 0.0
    wait = least + random.uniform(0, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt))
    return wait if wait < remaining_s else None


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds in Retry-After, or until its date; None if it is missing or invalid."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # A date without a zone is one in UTC (RFC 9110, section 5.6.7).
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
