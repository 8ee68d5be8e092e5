"""A server in its own process."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from benchmarks.serving.processes import free_port
from tests.service.checks import metric
from tests.service.tiny import write_tiny

TIMEOUT_S = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningServer:
    """A process that serves a bundle on 127.0.0.1."""

    process: subprocess.Popen[str]
    port: int
    bundle: Path
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def environment() -> dict[str, str]:
    """Return the environment variables without the service's settings."""
    return {name: text for name, text in os.environ.items() if not name.startswith("OODGUARD_")}


def wait_until(condition: Callable[[], bool]) -> float:
    """Wait for a condition; return the seconds that it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < TIMEOUT_S, f"timeout after {TIMEOUT_S} s"
        time.sleep(0.02)
    return time.monotonic() - start


def is_ready(url: str) -> bool:
    """Return whether a server, which may not listen yet, is ready."""
    try:
        return httpx2.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def start(
    bundle: Path, log: Path, settings: Mapping[str, object], port: int, *, before: str = ""
) -> subprocess.Popen[str]:
    """Start a server without waiting for it; an unread pipe instead of the log would block it.

    Args:
        bundle: The bundle.
        log: The file for its log.
        settings: Its settings, by environment variable.
        port: Its port.
        before: Python statements that it executes first.
    """
    code = f"import runpy; {before}; runpy.run_module('oodguard.service', run_name='__main__')"
    run = ["-c", code] if before else ["-m", "oodguard.service"]
    command = [sys.executable, *run, "serve", "--bundle", str(bundle)]
    variables = {name: str(value) for name, value in settings.items()}
    with log.open("a") as stderr:
        return subprocess.Popen(
            [*command, "--port", str(port)],
            stderr=stderr,
            text=True,
            env={**environment(), **variables},
        )


@contextlib.contextmanager
def serving(
    bundle: Path, log: Path, settings: Mapping[str, object] | None = None, *, before: str = ""
) -> Iterator[RunningServer]:
    """Serve a bundle during the block, which starts when the server is ready; see `start`."""
    port = free_port()
    with start(bundle, log, settings or {}, port, before=before) as process:
        server = RunningServer(process=process, port=port, bundle=bundle, log=log)

        def ready() -> bool:
            assert process.poll() is None, log.read_text()
            return is_ready(server.url)

        try:
            wait_until(ready)
            yield server
        finally:
            process.kill()


def counter(server: RunningServer, name: str, **labels: str) -> float:
    """Return the sum of a counter's samples that have these labels among others."""
    text = httpx2.get(f"{server.url}/metrics", timeout=TIMEOUT_S).text
    return metric(text, name, **labels)


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
    """A server for all tests of a module; the tests must not change it."""
    folder = tmp_path_factory.mktemp("shared")
    write_tiny(folder / "tiny")
    with serving(folder / "tiny", folder / "server.log") as running:
        yield running
