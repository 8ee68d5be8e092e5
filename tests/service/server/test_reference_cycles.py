"""Requests leave no reference cycles, so that garbage collections may be rare."""

import gc
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from oodguard.service.errors import DeadlineExceeded
from oodguard.service.images import decode_steps
from oodguard.service.images.decode_steps import DecodeSteps
from oodguard.service.inference.queue import Job
from oodguard.service.prediction import deadline
from oodguard.service.prediction.deadline import DisconnectListener
from tests.service.checks import post, predictions, problem
from tests.service.conftest import MakeClient
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


def hold_calls(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> threading.Event:
    """Hold the calls of a function of the decode threads until the event is set."""
    opened = threading.Event()
    function = getattr(owner, name)

    def hold(*args: object, **options: object) -> object:
        assert opened.wait(20)
        return function(*args, **options)

    monkeypatch.setattr(owner, name, hold)
    return opened


@pytest.mark.usefixtures("_no_collection")
@pytest.mark.parametrize(
    ("owner", "name", "body"),
    [
        (DecodeSteps, "step", encode(noisy((400, 400)))),
        (decode_steps, "decode_image", encode(noisy((400, 400)))[:LARGE]),
    ],
    ids=["late", "truncated PNG"],
)
def test_request_whose_decoding_fails_after_its_deadline_is_freed(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, body: bytes
) -> None:
    opened = hold_calls(monkeypatch, owner, name)
    others = live_jobs()
    problem(post(client, body, **{"x-timeout-ms": "200"}), 504, "deadline-exceeded")
    opened.set()
    wait_until_freed(others)


@pytest.mark.usefixtures("_no_collection")
def test_request_whose_decoding_fails_after_a_disconnect_is_freed(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client()
    opened = hold_calls(monkeypatch, DecodeSteps, "step")
    monkeypatch.setattr(deadline, "LISTEN_AFTER_S", 0)
    monkeypatch.setattr(DisconnectListener, "_start", lambda listener: listener._on_disconnect())
    others = live_jobs()
    assert post(client, encode(noisy((400, 400)))).status_code == 499
    opened.set()
    wait_until_freed(others)


@pytest.mark.usefixtures("_no_collection")
def test_shadow_request_that_ends_with_an_error_is_freed(
    three_models: Path, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(
        models=three_models, default_model="one", shadow_model="two", shadow_share=1
    )
    step = DecodeSteps.step
    steps: list[int] = []
    failed = threading.Event()

    def fail_the_second_time(self: DecodeSteps) -> None:
        steps.append(len(steps))
        if len(steps) == 1:
            step(self)
            return
        failed.set()
        raise DeadlineExceeded("the request ended")

    monkeypatch.setattr(DecodeSteps, "step", fail_the_second_time)
    others = live_jobs()
    predictions(post(client, encode(noisy((400, 400)))))
    assert failed.wait(20)
    wait_until_freed(others)
