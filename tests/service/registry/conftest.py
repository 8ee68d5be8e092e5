"""Clients of a service with several models, and with the admin routes."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.service.api_keys import IssuedKey, write_key_file
from tests.service.conftest import MakeClient


@pytest.fixture
def make_admin_client(make_client: MakeClient, tmp_path: Path) -> MakeClient:
    """Make a client with a key for every route."""
    key = IssuedKey.create("predict", "metrics", "admin", key_id="operator")
    key_file = write_key_file(tmp_path / "keys.toml", key)

    def make(**settings: object) -> TestClient:
        client = make_client(**{"keys_file": key_file, "admin": True, **settings})
        client.headers.update(key.headers)
        return client

    return make


@pytest.fixture
def client(three_models: Path, make_admin_client: MakeClient) -> TestClient:
    return make_admin_client(models=three_models, default_model="one")
