"""A guard that wants keys: they come as files, and Prometheus has one of its own."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import pytest

from tests.deploy.lane import asking, traffic
from tests.deploy.lane.stack import IMAGE, Stack
from tests.deploy.lane.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

# Who reads which file, as docs/deploy.md says.
GUARD, PROMETHEUS = 10001, 65534


@dataclass(frozen=True, kw_only=True, slots=True)
class Keyed:
    """A stack whose guard wants keys, and the key of somebody who may ask."""

    stack: Stack
    key: str


@pytest.fixture(scope="module")
def keyed(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    folder = tmp_path_factory.mktemp("secrets")
    key, may_ask = made(stack, "predict")
    metrics_key, may_watch = made(stack, "metrics")
    wanted = {
        "GUARD_KEYS_FILE": secret(folder / "keys.toml", may_ask + may_watch, GUARD),
        "METRICS_KEY_FILE": secret(folder / "metrics-key", metrics_key, PROMETHEUS),
        "OODGUARD_DRAIN_S": "1",
    }
    described = replace(stack, environment={**stack.environment, **wanted})
    try:
        described.up()
        yield Keyed(stack=described, key=key)
    finally:
        stack.up()


def made(stack: Stack, role: str) -> tuple[str, str]:
    """A new key with a role, and what a file of keys has to say of it."""
    words = ("keys", "new", "--id", role, "--role", role)
    key, entry = stack.docker("run", "--rm", IMAGE, *words).split("\n", 1)
    return key, entry


def secret(path: Path, text: str, reader: int) -> str:
    """Write a file that its reader in a container may read, and nobody else where root says so."""
    path.write_text(text, encoding="utf-8")
    if os.getuid() == 0:
        os.chown(path, reader, reader)
        path.chmod(0o400)
    return str(path)


def code(stack: Stack, headers: dict[str, str]) -> int:
    """The status of one picture's answer."""
    answer = httpx2.post(
        f"{stack.guard}/predict",
        content=traffic.KNOWN[0].read_bytes(),
        headers={"content-type": "image/png", **headers},
        timeout=30,
    )
    return answer.status_code


def test_a_picture_is_judged_for_who_has_a_key_alone(keyed: Keyed) -> None:
    assert code(keyed.stack, {}) == 401
    assert code(keyed.stack, {"authorization": f"Bearer {keyed.key}"}) == 200


def test_prometheus_is_let_in_by_its_own_key(keyed: Keyed) -> None:
    assert httpx2.get(f"{keyed.stack.guard}/metrics", timeout=10).status_code == 401
    wait_for(lambda: asking.targets(keyed.stack)["oodguard"] == "up", "a scrape", within_s=30)


def test_no_key_is_told_by_what_the_engine_says_of_a_container(keyed: Keyed) -> None:
    assert keyed.key.rsplit("_", 1)[1] not in str(keyed.stack.inspect("guard"))
    environment = keyed.stack.inspect("guard")["Config"]["Env"]
    assert "OODGUARD_KEYS_FILE=/run/secrets/guard_keys" in environment
