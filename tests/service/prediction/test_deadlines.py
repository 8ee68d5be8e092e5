"""Deadlines: a client can shorten the configured timeout, and cannot extend it."""

import asyncio

import pytest
from starlette.testclient import TestClient

from oodguard.service.errors import DeadlineExceeded, WrongFields
from oodguard.service.prediction.deadline import Deadline, request_timeout_s
from tests.service.checks import post, predictions, problem
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


@pytest.mark.anyio
async def test_deadline_can_be_shortened_and_not_extended() -> None:
    async def exceed() -> None:
        async with Deadline(30) as deadline:
            at = deadline.at
            deadline.shorten(60)
            assert deadline.at == at
            deadline.shorten(0.01)
            assert deadline.at < at
            await asyncio.sleep(20)

    with pytest.raises(DeadlineExceeded, match=r"no response within 0\.01 s"):
        await exceed()
