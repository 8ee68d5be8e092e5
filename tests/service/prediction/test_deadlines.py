"""Deadlines: a client can shorten the configured timeout, and cannot extend it."""

import asyncio
import re
from collections.abc import Sequence

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Scope

from oodguard.service.api.schemas import Problem
from oodguard.service.errors import BodyTooSlow, DeadlineExceeded, WrongFields
from oodguard.service.prediction.deadline import Deadline, request_timeout_s
from tests.service.checks import post, predictions, problem
from tests.service.conftest import MakeClient
from tests.service.pictures import encode, plain


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, 2.0), ("1500", 1.5), ("1", 0.001), ("2500", 2.0)]
)
def test_timeout_is_the_shorter_of_header_and_setting(header: str | None, seconds: float) -> None:
    assert request_timeout_s(header, 2.0) == seconds


@pytest.mark.parametrize("header", ["", "0", "-1", "1.5", "1e3", "soon", "9" * 10, "٣"])
def test_timeout_header_must_be_a_whole_number(header: str) -> None:
    with pytest.raises(WrongFields, match="expected a whole number of milliseconds"):
        request_timeout_s(header, 2.0)


def test_timeout_header_is_checked_by_predict(client: TestClient) -> None:
    response = post(client, encode(plain()), **{"x-timeout-ms": "soon"})
    assert 'X-Timeout-Ms is "soon"' in problem(response, 422, "wrong-fields").detail
    predictions(post(client, encode(plain()), **{"x-timeout-ms": "20000"}))


class Clock:
    """The clock of deadlines and of the running event loop; only the test advances it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now_s)
        monkeypatch.setattr("oodguard.service.prediction.deadline.time.monotonic", self.read)

    def read(self) -> float:
        return self.now_s

    async def advance(self, seconds: float) -> None:
        """Advance the clock, and let the event loop call what is due."""
        self.now_s += seconds
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.mark.anyio
async def test_deadline_can_be_shortened_and_not_extended(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    async def exceed() -> None:
        async with Deadline(30) as deadline:
            await clock.advance(0.5)
            deadline.shorten(60)
            assert deadline.at == clock.now_s + 29.5
            deadline.shorten(2)
            assert deadline.at == clock.now_s + 2
            await clock.advance(1.9)
            await clock.advance(0.2)
            await asyncio.sleep(20)

    with pytest.raises(DeadlineExceeded, match=r"no response within 2\.5 s"):
        await exceed()


Step = float | int | None
"""Seconds that pass; a number of received bytes; or the end of the body."""


async def receive(clock: Clock, deadline: Deadline, steps: Sequence[Step]) -> None:
    async with deadline:
        for step in steps:
            if step is None:
                deadline.body_complete()
            elif isinstance(step, float):
                await clock.advance(step)
            else:
                deadline.body_received(step)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body_timeout_s", "steps", "message"),
    [
        (3, [7, 2.9, 0.1], "after 3.0 s: received 7 bytes, expected its end within 3 s and at"),
        # 10,000 bytes in 9 s, 10,000 bytes in 9 s, then 999 bytes in 10 s.
        (200, [9.0, 10_000, 9.0, 999, 9_001, 999, 9.9, 0.1], "after 28.0 s: received 20999 bytes"),
        # At 500,000 bytes per second, a body is still limited to 20 s.
        (20, 10 * [1_000_000, 2.0], "after 20.0 s: received 10000000 bytes"),
    ],
    ids=["its deadline", "the minimum rate", "its deadline at a high rate"],
)
async def test_body_has_a_deadline_and_a_minimum_rate(
    monkeypatch: pytest.MonkeyPatch, body_timeout_s: float, steps: list[Step], message: str
) -> None:
    clock = Clock(monkeypatch)
    with pytest.raises(BodyTooSlow, match=re.escape(message)):
        await receive(clock, Deadline(300, body_timeout_s), steps)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "steps",
    [[2.9, None, 9.0, 0.2], [2.9, 20_000, 9.0, 0.2], [20_000, 2.9, None, 9.0, 0.2]],
    ids=["complete body", "later body deadline", "body in time"],
)
async def test_body_deadline_does_not_replace_the_deadline(
    monkeypatch: pytest.MonkeyPatch, steps: list[Step]
) -> None:
    clock = Clock(monkeypatch)
    with pytest.raises(DeadlineExceeded, match="no response within 12 s"):
        await receive(clock, Deadline(12, 20), steps)


def test_body_that_is_too_slow_gets_a_408(make_client: MakeClient) -> None:
    client = make_client(body_timeout_s=0.05)
    scope: Scope = {
        "type": "http", "method": "POST", "path": "/predict", "query_string": b"",
        "headers": [(b"content-type", b"image/png"), (b"content-length", b"9")],
    }  # fmt: skip
    sent: list[Message] = []

    async def exchange() -> None:
        first: list[Message] = [{"type": "http.request", "body": b"one byte", "more_body": True}]

        async def receive() -> Message:
            if first:
                return first.pop()
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Message) -> None:
            sent.append(message)

        await client.app(scope, receive, send)

    asyncio.run(exchange())
    start, body = sent
    answer = Problem.model_validate_json(body["body"])
    assert (start["status"], answer.type) == (408, "/problems/request-timeout")
    assert "received 8 bytes, expected its end within 0.05 s" in answer.detail
    # The client could send the rest for as long as it likes.
    assert (b"connection", b"close") in start["headers"]
