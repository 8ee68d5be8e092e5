"""Key rotation: SIGHUP reloads the keys of a running service."""

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.conftest import RunningServer, serving
from tests.service.api_keys import IssuedKey, write_key_file


@pytest.fixture
def server(bundle_folder: Path, key_file: Path, tmp_path: Path) -> Iterator[RunningServer]:
    settings = {"OODGUARD_KEYS_FILE": key_file, "OODGUARD_DRAIN_S": 0}
    with serving(bundle_folder, tmp_path / "server.log", settings) as running:
        yield running


def wait_for(url: str, metrics_key: IssuedKey, row: str) -> None:
    """Wait until `/metrics` has a row."""
    pause = threading.Event()
    for _ in range(600):
        if row in httpx2.get(f"{url}/metrics", headers=metrics_key.headers).text.splitlines():
            return
        pause.wait(0.05)
    pytest.fail(f"/metrics has no row {row}")


def test_sighup_reloads_the_keys_and_ignores_an_invalid_file(
    server: RunningServer, key_file: Path, issued: dict[str, IssuedKey]
) -> None:
    new = IssuedKey.create("predict", key_id="new")
    write_key_file(key_file, new, issued["metrics"])
    server.process.send_signal(signal.SIGHUP)
    wait_for(server.url, issued["metrics"], 'oodguard_keys_read_total{outcome="loaded"} 1.0')
    key_file.write_text("[[keys]]\n" + new.token)
    server.process.send_signal(signal.SIGHUP)
    wait_for(server.url, issued["metrics"], 'oodguard_keys_read_total{outcome="refused"} 1.0')
    codes = [
        httpx2.get(f"{server.url}/models", headers=each.headers).status_code
        for each in (new, issued["predict"])
    ]
    assert codes == [200, 401]
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    log = server.log.read_text()
    assert new.token not in log
    assert all(key.token not in log for key in issued.values())
    (line,) = [line for line in map(json.loads, log.splitlines()) if line["level"] == "warning"]
    assert line["logger"] == "oodguard.keys"
    assert line["error"].startswith(f"{key_file}: invalid TOML")
