"""Key rotation: SIGHUP reloads the keys of a running service."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.conftest import RunningServer, serving, wait_until
from tests.service.api_keys import IssuedKey, write_key_file
from tests.service.checks import metric
from tests.service.conftest import Issued


@pytest.fixture
def server(bundle_folder: Path, key_file: Path, tmp_path: Path) -> Iterator[RunningServer]:
    settings = {"OODGUARD_KEYS_FILE": key_file, "OODGUARD_DRAIN_S": 0}
    with serving(bundle_folder, tmp_path / "server.log", settings) as running:
        yield running


def test_sighup_reloads_the_keys_and_ignores_an_invalid_file(
    server: RunningServer, key_file: Path, issued: Issued
) -> None:
    def reloads(outcome: str) -> float:
        text = httpx2.get(f"{server.url}/metrics", headers=issued["metrics"].headers).text
        return metric(text, "oodguard_keys_read_total", outcome=outcome)

    new = IssuedKey.create("predict", key_id="new")
    write_key_file(key_file, new, issued["metrics"])
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: reloads("loaded") == 1)
    key_file.write_text("[[keys]]\n" + new.token)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: reloads("refused") == 1)
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
    assert line["error"].startswith(f"OODGUARD_KEYS_FILE: {key_file}: invalid TOML")
