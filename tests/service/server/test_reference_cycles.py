"""Requests leave no reference cycles, so that garbage collections may be rare."""

import gc
import time
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from oodguard.service.inference.queue import Job
from oodguard.service.prediction import deadline
from tests.service.checks import post, predictions
from tests.service.pictures import encode, noisy

# Bodies of this size are parsed in another thread.
LARGE = 200_000


def live_jobs() -> list[Job]:
    # By type(): some objects of libraries warn on access to `__class__`.
    return [each for each in gc.get_objects() if type(each) is Job]


def wait_until_freed(others: list[Job]) -> None:
    """Wait until every job except `others` is freed; threads may use it after the response."""
    give_up = time.monotonic() + 5
    while jobs := [each for each in live_jobs() if each not in others]:
        assert time.monotonic() < give_up, jobs
        del jobs
        time.sleep(0.01)


@pytest.fixture
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collection")
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("image/png", b"no image" * LARGE),
        ("image/png", encode(noisy((400, 400)))[:LARGE]),
        ("application/json", b'{"images": ["' + b"AAAA" * LARGE + b'"]}'),
        ("application/json", b'{"images": ["' + b"!" * LARGE + b'"]}'),
        ("application/json", b'{"images": ["' + b"A" * LARGE),
    ],
    ids=["not an image", "truncated PNG", "base64 of no image", "not base64", "truncated JSON"],
)
def test_rejected_request_is_freed_without_a_garbage_collection(
    client: TestClient, content_type: str, body: bytes
) -> None:
    # Held, so that no new job has the identity of an old one.
    others = live_jobs()
    assert post(client, body, content_type).status_code == 400
    wait_until_freed(others)


@pytest.mark.usefixtures("_no_collection")
def test_request_with_a_disconnect_listener_is_freed_without_a_garbage_collection(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "LISTEN_AFTER_S", 0)
    others = live_jobs()
    for _ in range(20):
        predictions(post(client, encode(noisy((400, 400)))))
    wait_until_freed(others)
