"""A real server in a process of its own."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.service.tiny import write_tiny

GIVE_UP_S = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningServer:
    """A process that serves, where, the bundle that it serves, and what it logs."""

    process: subprocess.Popen[str]
    url: str
    bundle: Path
    log: Path


def environment() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if not name.startswith("OODGUARD_")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until_ready(process: subprocess.Popen[str], url: str) -> None:
    give_up = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up:
        assert process.poll() is None, "the server ended; its log says why"
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"{url}/readyz").status_code == 200:
                return
        time.sleep(0.05)
    pytest.fail(f"{url} was not ready within {GIVE_UP_S} s")


@pytest.fixture
def tiny_bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    write_tiny(folder)
    return folder


@pytest.fixture
def server(tiny_bundle: Path, tmp_path: Path) -> Iterator[RunningServer]:
    with serving(tiny_bundle, tmp_path / "server.log") as running:
        yield running


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that all tests of a file ask and none changes."""
    folder = tmp_path_factory.mktemp("shared")
    write_tiny(folder / "tiny")
    with serving(folder / "tiny", folder / "server.log") as running:
        yield running


@contextlib.contextmanager
def serving(bundle: Path, log: Path) -> Iterator[RunningServer]:
    port = free_port()
    # A file: a pipe that nobody reads stops whoever writes much.
    command = [sys.executable, "-m", "oodguard.service", "serve", "--port", str(port)]
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [*command, "--bundle", str(bundle)], stderr=stderr, text=True, env=environment()
        ) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(process, url)
            yield RunningServer(process=process, url=url, bundle=bundle, log=log)
        finally:
            process.kill()
