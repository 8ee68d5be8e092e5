"""A service with one key for each role."""

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.service.conftest import MakeClient
from tests.service.security.holders import Holder, text_of

ROLES = ("predict", "metrics", "admin")


@pytest.fixture
def holders() -> dict[str, Holder]:
    """Who has a key, by the one role that it has."""
    return {role: Holder.with_roles(role, key_id=f"the-{role}") for role in ROLES}


@pytest.fixture
def keys_file(tmp_path: Path, holders: dict[str, Holder]) -> Path:
    path = tmp_path / "keys.toml"
    path.touch(0o600)
    path.write_text(text_of(*holders.values()))
    return path


@pytest.fixture
def make_guarded(make_client: MakeClient, keys_file: Path) -> Callable[..., TestClient]:
    """Make a client of a service that wants the keys of the file."""

    def make(**settings: object) -> TestClient:
        return make_client(**{"keys_file": keys_file, "admin": True, **settings})

    return make


@pytest.fixture
def guarded(make_guarded: Callable[..., TestClient]) -> TestClient:
    return make_guarded()
