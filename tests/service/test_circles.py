"""A request leaves nothing behind that only a garbage collection would free."""

import gc
import time
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from oodguard.service.inference.queue import Job
from oodguard.service.prediction import deadline as deadline_module
from tests.service.checks import post, predictions
from tests.service.pictures import encode, noisy

# More bytes than are taken apart without a change of thread.
LARGE = 200_000


def jobs_alive() -> list[Job]:
    # By its type: some objects of other libraries warn when they are asked for their class.
    return [each for each in gc.get_objects() if type(each) is Job]


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
)
def test_the_job_of_a_refused_request_is_freed_at_once(
    client: TestClient, content_type: str, body: bytes
) -> None:
    # What other tests have left behind is not meant; held, so that no new one looks like it.
    others = jobs_alive()
    assert post(client, body, content_type).status_code == 400
    wait_until_freed(others)


@pytest.mark.usefixtures("_no_collection")
def test_so_is_one_whose_client_was_watched(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline_module, "WATCH_AFTER_S", 0)
    others = jobs_alive()
    for _ in range(20):
        predictions(post(client, encode(noisy((400, 400)))))
    wait_until_freed(others)


def wait_until_freed(others: list[Job]) -> None:
    """Wait until no job is alive but others."""
    give_up = time.monotonic() + 5
    # The threads that worked on it may be a moment behind its answer.
    while jobs := [each for each in jobs_alive() if each not in others]:
        assert time.monotonic() < give_up, jobs
        del jobs
        time.sleep(0.01)
