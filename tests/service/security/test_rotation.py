"""A running service takes new keys on SIGHUP and keeps the old ones when the new are bad."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.conftest import RunningServer, environment, free_port, wait_until_ready
from tests.service.security.holders import Holder, text_of


@pytest.fixture
def server(bundle_folder: Path, keys_file: Path, tmp_path: Path) -> Iterator[RunningServer]:
    port = free_port()
    log = tmp_path / "server.log"
    settings = {
        "OODGUARD_BUNDLE": str(bundle_folder),
        "OODGUARD_KEYS_FILE": str(keys_file),
        "OODGUARD_DRAIN_S": "0",
    }
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "oodguard.service", "serve", "--port", str(port)],
            stderr=stderr,
            text=True,
            env={**environment(), **settings},
        ) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(process, url)
            yield RunningServer(process=process, url=url, bundle=bundle_folder, log=log)
        finally:
            process.kill()


def wait_for(url: str, metrics_key: Holder, row: str) -> None:
    """Return once `/metrics` has a row."""
    pause = threading.Event()
    for _ in range(600):
        if row in httpx2.get(f"{url}/metrics", headers=metrics_key.headers).text.splitlines():
            return
        pause.wait(0.05)
    pytest.fail(f"{row} did not come")


def test_keys_are_changed_by_sighup_and_bad_ones_change_nothing(
    server: RunningServer, keys_file: Path, holders: dict[str, Holder]
) -> None:
    new = Holder.with_roles("predict", key_id="new")
    keys_file.write_text(text_of(new, holders["metrics"]))
    server.process.send_signal(signal.SIGHUP)
    wait_for(server.url, holders["metrics"], 'oodguard_keys_read_total{outcome="loaded"} 1.0')
    keys_file.write_text("[[keys]]\n" + new.token)
    server.process.send_signal(signal.SIGHUP)
    wait_for(server.url, holders["metrics"], 'oodguard_keys_read_total{outcome="refused"} 1.0')
    codes = [
        httpx2.get(f"{server.url}/models", headers=each.headers).status_code
        for each in (new, holders["predict"])
    ]
    assert codes == [200, 401]
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    log = server.log.read_text()
    assert new.token not in log
    assert all(holder.token not in log for holder in holders.values())
    (line,) = [line for line in map(json.loads, log.splitlines()) if line["level"] == "warning"]
    assert line["logger"] == "oodguard.keys"
    assert f"{keys_file}: this is not TOML" in line["message"]
