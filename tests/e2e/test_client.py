"""The client against a running server: overload, drain, restart and timeout."""

import asyncio
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.serving.processes import free_port
from oodguard.client import (
    AsyncClient,
    Client,
    DeadlineExceededError,
    ImageResult,
    ResponseTimeoutError,
)
from tests.e2e.conftest import (
    RunningServer,
    counter,
    is_ready,
    serving,
    start,
    wait_until,
)
from tests.service.pictures import GREEN, encode, plain

PNG = encode(plain(GREEN))
SLOW_MODEL = (
    "import time; from oodguard.models.calibrated_model import CalibratedModel as C;"
    " run = C.predict; C.predict = lambda *a: (time.sleep(1), run(*a))[1]"
)


def test_client_predicts_over_a_socket(shared_server: RunningServer) -> None:
    with Client(shared_server.url) as client:
        assert client.ready()
        assert client.healthy()
        assert client.models().default == "tiny"
        results = list(client.predict_many([PNG] * 200))
    assert [each.label for each in results] == ["green"] * 200
    assert [each.index for each in results] == [*range(200)]

    async def use() -> list[ImageResult]:
        async with AsyncClient(shared_server.url) as client:
            return [each async for each in client.predict_many([PNG] * 200)]

    assert [each.label for each in asyncio.run(use())] == ["green"] * 200


@pytest.mark.slow
def test_client_returns_every_result_of_an_overloaded_service(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    settings = {"OODGUARD_MAX_PENDING": 1, "OODGUARD_WORKERS": 1}
    with (
        serving(tiny_bundle, tmp_path / "log", settings) as server,
        Client(server.url, concurrency=8) as client,
    ):
        results = list(client.predict_many([PNG] * 1000))
        assert [each.index for each in results] == [*range(1000)]
        assert counter(server, "oodguard_requests_total", code="429") > 0


@pytest.mark.slow
def test_client_continues_when_the_service_drains_and_restarts(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    settings = {"OODGUARD_WORKERS": 1, "OODGUARD_DRAIN_S": 1}
    port, log = free_port(), tmp_path / "log"
    url = f"http://127.0.0.1:{port}"

    def images() -> Iterator[bytes]:
        """Stop the service after some images, and start it again when it has ended."""
        with start(tiny_bundle, log, settings, port) as first:
            wait_until(lambda: is_ready(url))
            yield from [PNG] * 640
            first.terminate()
            wait_until(lambda: not client.ready())
            yield from [PNG] * 640  # while it is draining
            first.wait()
        second.append(start(tiny_bundle, log, settings, port))
        yield from [PNG] * 640  # before it listens

    second: list[subprocess.Popen[str]] = []
    with Client(url, deadline_s=60) as client:
        try:
            results = list(client.predict_many(images()))
        finally:
            for process in second:
                process.kill()
                process.wait()
    assert [each.index for each in results] == [*range(3 * 640)]


@pytest.mark.slow
def test_client_does_not_repeat_a_request_that_took_too_long(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    settings = {"OODGUARD_TIMEOUT_S": 0.3, "OODGUARD_WORKERS": 1}
    with serving(tiny_bundle, tmp_path / "log", settings, before=SLOW_MODEL) as server:
        with Client(server.url) as client, pytest.raises(DeadlineExceededError) as raised:
            client.predict(PNG)
        assert raised.value.problem.status == 504
        assert counter(server, "oodguard_requests_total", code="504") == 1
        with Client(server.url, deadline_s=0.2) as hasty, pytest.raises(ResponseTimeoutError):
            hasty.predict(PNG)


Answer = Callable[[socket.socket], None]
