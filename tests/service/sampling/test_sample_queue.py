"""The queue of sampled requests: bounded in requests and bytes."""

from datetime import UTC, datetime

from oodguard.service.images.types import Body
from oodguard.service.sampling.sample import SampledRequest
from oodguard.service.sampling.sample_queue import SampleQueue


def sampled_request(size: int) -> SampledRequest:
    body = Body(data=bytes(size), content_type="image/png", options={}, shape=None)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return SampledRequest(at=now, request_id="r", body=body, model={}, policy={}, verdicts={})


def test_sample_queue_is_first_in_first_out_and_bounded_in_requests() -> None:
    queue = SampleQueue(max_requests=2, max_bytes=1000)
    first, second, third = (sampled_request(1) for _ in range(3))
    assert [queue.put(each) for each in (first, second, third)] == [True, True, False]
    assert queue.take(0) is first
    assert queue.put(third)
    assert [queue.take(0) for _ in range(3)] == [second, third, None]


def test_sample_queue_is_bounded_in_bytes_except_for_a_single_body() -> None:
    queue = SampleQueue(max_requests=10, max_bytes=100)
    assert queue.put(sampled_request(60))
    assert not queue.put(sampled_request(41))
    assert queue.put(sampled_request(40))
    queue.take(0)
    assert queue.put(sampled_request(60))
    assert not queue.put(sampled_request(1))
    queue.take(0)
    queue.take(0)
    assert queue.put(sampled_request(500))
    assert not queue.put(sampled_request(1))


def test_sample_queue_returns_pending_requests_after_close() -> None:
    queue = SampleQueue(max_requests=2, max_bytes=1000)
    last = sampled_request(1)
    queue.put(last)
    queue.close()
    assert not queue.put(sampled_request(1))
    assert not queue.finished
    assert queue.take(60) is last
    assert queue.finished
    assert queue.take(60) is None
