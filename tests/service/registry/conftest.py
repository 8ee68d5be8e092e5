"""Clients of a service with several models, and with the admin routes."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.service.conftest import MakeClient
from tests.service.security.holders import Holder, text_of


@pytest.fixture
def make_admin_client(make_client: MakeClient, tmp_path: Path) -> MakeClient:
    """Make a client with a key for every route."""
    holder = Holder.with_roles("predict", "metrics", "admin", key_id="operator")
    keys_file = tmp_path / "keys.toml"
    keys_file.touch(0o600)
    keys_file.write_text(text_of(holder))

    def make(**settings: object) -> TestClient:
        client = make_client(**{"keys_file": keys_file, "admin": True, **settings})
        client.headers.update(holder.headers)
        return client

    return make


@pytest.fixture
def client(three_models: Path, make_admin_client: MakeClient) -> TestClient:
    return make_admin_client(models=three_models, default_model="one")
