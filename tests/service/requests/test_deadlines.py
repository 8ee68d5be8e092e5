"""A client may ask for less time than the operator allows, and never for more."""

import asyncio

import pytest
from starlette.testclient import TestClient

from oodguard.service.errors import DeadlineExceeded, WrongFields
from oodguard.service.prediction.deadline import Deadline, timeout_s
from tests.service.checks import predictions, problem
from tests.service.pictures import encode, plain


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, 2.0), ("1500", 1.5), ("1", 0.001), ("2500", 2.0)]
)
def test_the_shorter_of_both_counts(header: str | None, seconds: float) -> None:
    assert timeout_s(header, 2.0) == seconds


@pytest.mark.parametrize("header", ["", "0", "-1", "1.5", "1e3", "soon", "9" * 10, "٣"])
def test_anything_but_a_whole_number_is_refused(header: str) -> None:
    with pytest.raises(WrongFields, match="a whole number of milliseconds"):
        timeout_s(header, 2.0)


def test_the_header_is_read_before_anything_else(client: TestClient) -> None:
    headers = {"content-type": "image/png", "x-timeout-ms": "soon"}
    response = client.post("/predict", content=encode(plain()), headers=headers)
    problem(response, 422, "wrong-fields")
    headers["x-timeout-ms"] = "20000"
    predictions(client.post("/predict", content=encode(plain()), headers=headers))


def test_a_deadline_can_be_drawn_nearer_and_never_put_off() -> None:
    async def scene() -> None:
        async with Deadline(30) as limit:
            until = limit.until
            limit.shorten(60)
            assert limit.until == until
            limit.shorten(0.01)
            assert limit.until < until
            await asyncio.sleep(20)

    with pytest.raises(DeadlineExceeded, match=r"no answer within 0\.01 s"):
        asyncio.run(scene())
