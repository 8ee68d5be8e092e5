"""The line to the sampler's thread is bounded and never waits."""

from datetime import UTC, datetime

from oodguard.service.images.types import Body
from oodguard.service.sampling.sample import Rejection
from oodguard.service.sampling.sampler import SampleQueue


def rejection(size: int) -> Rejection:
    body = Body(data=bytes(size), content_type="image/png", options={}, shape=None)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Rejection(at=now, request_id="r", body=body, model={}, policy={}, verdicts={})


def test_it_is_bounded_in_requests() -> None:
    line = SampleQueue(max_requests=2, max_bytes=1000)
    assert [line.put(rejection(1)) for _ in range(3)] == [True, True, False]
    assert line.take(0) is not None
    assert line.put(rejection(1))


def test_it_is_bounded_in_bytes_but_for_one_body_alone() -> None:
    line = SampleQueue(max_requests=10, max_bytes=100)
    assert line.put(rejection(60))
    assert not line.put(rejection(41))
    assert line.put(rejection(40))
    assert line.take(0) is not None
    # The room of what was taken is free again.
    assert line.put(rejection(60))
    assert not line.put(rejection(1))
    assert line.take(0) is not None
    assert line.take(0) is not None
    assert line.put(rejection(500))
    assert not line.put(rejection(1))


def test_it_gives_them_in_their_order_and_none_when_there_are_none() -> None:
    line = SampleQueue(max_requests=2, max_bytes=1000)
    first, second = rejection(1), rejection(2)
    line.put(first)
    line.put(second)
    assert line.take(0) is first
    assert line.take(0) is second
    assert line.take(0) is None


def test_a_closed_one_takes_no_more_and_gives_what_waits() -> None:
    line = SampleQueue(max_requests=2, max_bytes=1000)
    last = rejection(1)
    line.put(last)
    line.close()
    assert not line.put(rejection(1))
    assert not line.ended
    assert line.take(60) is last
    assert line.ended
    assert line.take(60) is None
