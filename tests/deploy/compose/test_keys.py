"""A guard with keys: they are mounted as files, and Prometheus has its own."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from tests.deploy.compose import queries, traffic
from tests.deploy.compose.docker import wait_for
from tests.deploy.compose.stack import IMAGE, Stack

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

# The owners of the files, as in docs/deploy.md.
GUARD_UID, PROMETHEUS_UID = 10001, 65534


@pytest.fixture(scope="module")
def key(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A key with the role `predict`; the guard of the stack requires keys."""
    folder = tmp_path_factory.mktemp("secrets")
    key, predict_entry = new_key(stack, "predict")
    metrics_key, metrics_entry = new_key(stack, "metrics")
    variables = {
        "GUARD_KEYS_FILE": secret(folder / "keys.toml", predict_entry + metrics_entry, GUARD_UID),
        "METRICS_KEY_FILE": secret(folder / "metrics-key", metrics_key, PROMETHEUS_UID),
        "OODGUARD_DRAIN_S": "1",
    }
    try:
        replace(stack, environment={**stack.environment, **variables}).up()
        yield key
    finally:
        stack.up()


def new_key(stack: Stack, role: str) -> tuple[str, str]:
    """Create a key with a role and return it with its entry for the key file."""
    words = ("keys", "new", "--id", role, "--role", role)
    key, entry = stack.docker("run", "--rm", IMAGE, *words).split("\n", 1)
    return key, entry


def secret(path: Path, text: str, owner: int) -> str:
    """Write a file that only its owner in a container can read, if this process is root."""
    path.write_text(text, encoding="utf-8")
    if os.getuid() == 0:
        os.chown(path, owner, owner)
        path.chmod(0o400)
    return str(path)


def test_predict_requires_a_key(stack: Stack, key: str) -> None:
    image = traffic.KNOWN[0]
    assert traffic.post(stack, image).status_code == 401
    header = {"authorization": f"Bearer {key}"}
    assert traffic.post(stack, image, header).status_code == 200


@pytest.mark.usefixtures("key")
def test_prometheus_scrapes_with_its_own_key(stack: Stack) -> None:
    assert httpx2.get(f"{stack.guard}/metrics", timeout=10).status_code == 401
    wait_for(lambda: queries.targets(stack)["oodguard"] == "up", "a scrape", within_s=30)


def test_container_description_reveals_no_key(stack: Stack, key: str) -> None:
    container = stack.inspect_service("guard")
    assert key.rsplit("_", 1)[1] not in str(container)
    assert "OODGUARD_KEYS_FILE=/run/secrets/guard_keys" in container["Config"]["Env"]
