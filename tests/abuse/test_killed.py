"""`kill -9` under a supervisor: the service restarts within seconds with the same bundle."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest

from benchmarks.serving.processes import free_port
from oodguard.models.bundle import open_bundle
from tests.e2e.conftest import is_ready, start, wait_until
from tests.service.pictures import encode, plain

pytestmark = pytest.mark.slow

RESTART_S = 5.0


class Supervisor:
    """Starts a process again whenever it exits, as `restart: unless-stopped` does in Docker.

    Args:
        start: Starts the process.
    """

    def __init__(self, start: Callable[[], subprocess.Popen[str]]) -> None:
        self._start = start
        self._stopped = threading.Event()
        self._process = start()
        self._thread = threading.Thread(target=self._restart, name="supervisor")
        self._thread.start()

    @property
    def pid(self) -> int:
        """The id of the current process."""
        return self._process.pid

    def stop(self) -> None:
        """Kill the process without starting it again."""
        self._stopped.set()
        self._process.kill()
        self._thread.join()

    def _restart(self) -> None:
        while True:
            self._process.wait()
            if self._stopped.is_set():
                return
            self._process = self._start()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def supervisor(tiny_bundle: Path, tmp_path: Path, port: int, url: str) -> Iterator[Supervisor]:
    supervisor = Supervisor(partial(start, tiny_bundle, tmp_path / "log", {}, port))
    try:
        wait_until(lambda: is_ready(url))
        yield supervisor
    finally:
        supervisor.stop()


def predict(url: str) -> object:
    """Return a response without its request id."""
    response = httpx2.post(
        f"{url}/predict", content=encode(plain()), headers={"content-type": "image/png"}
    ).json()
    del response["request_id"]
    return response


def kill(supervisor: Supervisor, url: str) -> float:
    """Kill the process and wait for the next one; return the seconds without service."""
    killed = supervisor.pid
    os.kill(killed, signal.SIGKILL)
    return wait_until(lambda: supervisor.pid != killed and is_ready(url))


def test_killed_service_restarts_within_five_seconds_with_the_same_bundle(
    supervisor: Supervisor, url: str, tiny_bundle: Path
) -> None:
    before = predict(url)
    sha256 = open_bundle(tiny_bundle).sha256
    gaps_s = []
    for _ in range(3):
        gaps_s.append(kill(supervisor, url))
        assert predict(url) == before
    # The time holds for a machine without other load: the minimum of three.
    assert min(gaps_s) <= RESTART_S
    assert httpx2.get(f"{url}/models").json()["models"][0]["sha256"] == sha256


def test_killed_service_closes_connections_and_leaves_the_bundle_unchanged(
    supervisor: Supervisor, url: str, port: int, tiny_bundle: Path
) -> None:
    before = predict(url)
    files = {path.name: path.read_bytes() for path in tiny_bundle.iterdir()}
    body = encode(plain())
    head = (
        f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    connections = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(8)]
    for connection in connections:
        connection.sendall(head + body[:20])
    kill(supervisor, url)
    for connection in connections:
        with connection:
            assert _rest(connection) == b""
    assert predict(url) == before
    assert {path.name: path.read_bytes() for path in tiny_bundle.iterdir()} == files


def _rest(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1)
    except ConnectionResetError:
        return b""


def test_killed_service_does_not_serve_a_bundle_that_was_truncated_before_the_restart(
    supervisor: Supervisor, url: str, tiny_bundle: Path, tmp_path: Path
) -> None:
    model = tiny_bundle / "model.onnx"
    content = model.read_bytes()
    model.write_bytes(content[: len(content) // 2])
    os.kill(supervisor.pid, signal.SIGKILL)
    give_up = time.monotonic() + 60
    while "model.onnx was truncated" not in (tmp_path / "log").read_text():
        assert time.monotonic() < give_up
        assert not is_ready(url)
        time.sleep(0.05)
    model.write_bytes(content)
    wait_until(lambda: is_ready(url))
