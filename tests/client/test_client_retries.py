from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random

import httpx2
import pytest

from oodguard.client.retries import (
    LONGEST_WAIT_S,
    Fault,
    Received,
    RequestDeadline,
    fault_of,
    retry_after_s,
    wait_before_retry,
)

RANDOM = Random(1)  # noqa: S311 - spreads retries


class Highest(Random):
    """Draws the largest number of every range."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


def response(status: int, **headers: str) -> Received:
    return Received(status=status, headers=httpx2.Headers(headers), body=b"")


@pytest.mark.parametrize(
    ("outcome", "waits"),
    [
        (response(429), [0.2, 0.4, 0.8, 1.6]),
        (response(502), [0.2, 0.4, 0.8, 1.6]),
        (response(503, **{"retry-after": "3"}), [3.2, 3.4, 3.8, 4.6]),
        (Fault("reset", retried=True), [0.2, 0.4, 0.8, 1.6]),
    ],
)
def test_retry_waits_at_least_retry_after_and_twice_as_long_each_time(
    outcome: Received | Fault, waits: list[float]
) -> None:
    found = [wait_before_retry(outcome, attempt, 100, Highest()) for attempt in range(4)]
    assert found == pytest.approx(waits)
    assert wait_before_retry(response(429), 50, 100, Highest()) == LONGEST_WAIT_S
    least = wait_before_retry(outcome, 0, 100, RANDOM)
    assert least is not None
    assert waits[0] - 0.2 <= least < waits[0]


@pytest.mark.parametrize(
    "status", [200, 302, 400, 401, 403, 404, 408, 413, 415, 422, 431, 500, 504]
)
def test_retry_is_not_made_where_it_cannot_succeed(status: int) -> None:
    assert wait_before_retry(response(status), 0, 100, RANDOM) is None


def test_retry_is_not_made_after_the_deadline() -> None:
    """Waiting for the time that Retry-After requires would end after the deadline."""
    assert wait_before_retry(response(429, **{"retry-after": "60"}), 0, 59, RANDOM) is None
    assert wait_before_retry(Fault("reset", retried=True), 9, 0.1, Highest()) is None


@pytest.mark.parametrize(
    ("error", "retried", "timed_out"),
    [
        (httpx2.ConnectError("refused"), True, False),
        (httpx2.ConnectTimeout("slow"), True, False),
        (httpx2.ReadError("reset"), True, False),
        (httpx2.WriteError("reset"), True, False),
        (httpx2.RemoteProtocolError("disconnected"), True, False),
        (httpx2.ReadTimeout("slow"), False, True),
        (httpx2.WriteTimeout("slow"), False, True),
        (httpx2.UnsupportedProtocol("ftp"), False, False),
        (httpx2.LocalProtocolError("illegal"), False, False),
    ],
)
def test_retry_is_made_after_a_lost_connection(
    error: httpx2.RequestError, retried: bool, timed_out: bool
) -> None:
    assert fault_of(error) == Fault(str(error), retried=retried, timed_out=timed_out)


def test_retry_after_is_seconds_or_a_date() -> None:
    def after(text: str) -> float | None:
        return retry_after_s(httpx2.Headers({"Retry-After": text}))

    assert after("7") == 7
    assert after(" 0 ") == 0
    future = after(format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True))
    assert future is not None
    assert 80 < future <= 90
    assert after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert after("Wed, 21 Oct 2015 07:28:00 -0000") == 0
    assert [after(text) for text in ("", "soon", "-1", "1.5", "9 s")] == [None] * 5
    assert after("Thu, 01 Jan 2026 00:00:00 +" + "9" * 20) is None
    assert retry_after_s(httpx2.Headers()) is None


def test_deadline_sets_the_timeout_of_the_service_and_of_the_sockets() -> None:
    deadline = RequestDeadline(30)
    assert 29_000 < int(deadline.headers()["X-Timeout-Ms"]) <= 30_000
    timeout = deadline.timeout()
    assert timeout.read is not None
    assert 29 < timeout.read <= 30
    assert timeout.connect == 5
    assert RequestDeadline(1e9).headers() == {"X-Timeout-Ms": "999999999"}
    assert RequestDeadline(1e-9).headers() == {"X-Timeout-Ms": "1"}
