"""A policy that changes while a process serves requests, and a drift reset by the command."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from benchmarks.serving.load.generator import ConnectionPool, closed_loop
from benchmarks.serving.requests import encoded
from tests.e2e.conftest import RunningServer, environment, serving, wait_until
from tests.service.api_keys import IssuedKey, write_key_file
from tests.service.pictures import encode, plain

PNG = encode(plain())


@pytest.fixture(name="policy")
def _policy(tmp_path: Path) -> Path:
    return tmp_path / "policy.toml"


@pytest.fixture(name="guard")
def _guard(tiny_bundle: Path, tmp_path: Path, policy: Path) -> Iterator[RunningServer]:
    with serving(tiny_bundle, tmp_path / "log", {"OODGUARD_POLICY": policy}) as running:
        yield running


def policy_of(server: RunningServer) -> dict[str, object]:
    headers = {"content-type": "image/png"}
    answer = httpx2.post(f"{server.url}/predict", content=PNG, headers=headers).json()
    policy: dict[str, object] = answer["policy"]
    return policy


@pytest.mark.slow
def test_policy_reload_by_sighup_under_load_loses_no_request(
    guard: RunningServer, policy: Path
) -> None:
    done = threading.Event()
    pool = ConnectionPool(guard.port, encoded(PNG), kept=4)
    with ThreadPoolExecutor(1) as executor:
        load = executor.submit(closed_loop, pool, active=lambda: not done.is_set())
        try:
            for alpha in (0.1, 0.2, 0.3):
                policy.write_text(f"[models.tiny]\nalpha = {alpha}\n", encoding="utf-8")
                guard.process.send_signal(signal.SIGHUP)
                wait_until(lambda: policy_of(guard)["alpha"] == alpha)  # noqa: B023
            policy.write_text("[models.tiny]\nalpha = 3\n", encoding="utf-8")
            guard.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "The policy file was refused." in guard.log.read_text())
            assert policy_of(guard)["alpha"] == 0.3
        finally:
            done.set()
    tally = load.result()
    assert set(tally.statuses) == {200}
    assert tally.failed == 0


@pytest.mark.slow
def test_drift_reset_command_uses_the_admin_route(tiny_bundle: Path, tmp_path: Path) -> None:
    admin, other = (IssuedKey.create(role, key_id=f"the-{role}") for role in ("admin", "predict"))
    key_file = write_key_file(tmp_path / "keys.toml", admin, other)
    for key in (admin, other):
        (tmp_path / key.entry.id).write_text(f"{key.token}\n", encoding="utf-8")

    def reset(url: str, key_id: str) -> subprocess.CompletedProcess[str]:
        arguments = ["drift", "reset", "tiny", "--url", url, "--key-file", str(tmp_path / key_id)]
        return subprocess.run(
            [sys.executable, "-m", "oodguard.service", *arguments],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    settings = {"OODGUARD_KEYS_FILE": key_file, "OODGUARD_ADMIN": "true"}
    with serving(tiny_bundle, tmp_path / "log", settings) as server:
        done = reset(server.url, "the-admin")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == (
            "tiny 1: the reset is done; the log evidence was 0 for scores and 0 for rejections\n"
        )
        assert '"by":"key the-admin"' in server.log.read_text()
        denied = reset(f"{server.url}/", "the-predict")
        assert denied.returncode == 1
        assert "returned 403: key the-predict has the role predict" in denied.stderr
