"""The key store: reload while the service runs; invalid keys leave the previous ones active."""

import logging
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from oodguard.service.errors import AdminWithoutKeys, KeyFileError
from tests.service.api_keys import IssuedKey, write_key_file
from tests.service.checks import metric
from tests.service.conftest import Issued, MakeClient


def reload_keys(client: TestClient) -> None:
    app: Any = client.app
    assert client.portal is not None
    client.portal.call(app.state.keys.reload)


def reloads(client: TestClient, issued: Issued, outcome: str) -> float:
    text = client.get("/metrics", headers=issued["metrics"].headers).text
    return metric(text, "oodguard_keys_read_total", outcome=outcome)


def last_successful(client: TestClient, issued: Issued) -> float:
    text = client.get("/metrics", headers=issued["metrics"].headers).text
    return metric(text, "oodguard_keys_last_reload_successful")


def test_key_reload_activates_new_keys_and_revokes_removed_ones(
    secured: TestClient, issued: Issued, key_file: Path
) -> None:
    new = IssuedKey.create("predict", key_id="new")
    write_key_file(key_file, new, issued["metrics"], issued["admin"])
    assert secured.get("/models", headers=new.headers).status_code == 401
    reload_keys(secured)
    assert secured.get("/models", headers=new.headers).status_code == 200
    assert secured.get("/models", headers=issued["predict"].headers).status_code == 401
    assert (reloads(secured, issued, "loaded"), reloads(secured, issued, "refused")) == (1, 0)


@pytest.mark.parametrize("content", ["", "[[keys]", "keys = []", "a = " + "[" * 20_000, None])
def test_key_reload_of_an_invalid_file_leaves_the_previous_keys_active(
    secured: TestClient,
    issued: Issued,
    key_file: Path,
    content: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if content is None:
        key_file.unlink()
    else:
        key_file.write_text(content)
    with caplog.at_level(logging.WARNING, "oodguard.keys"):
        reload_keys(secured)
    (record,) = caplog.records
    assert record.getMessage() == "API keys could not be reloaded; the previous keys stay active."
    assert record.__dict__["fields"]["error"].startswith(f"OODGUARD_KEYS_FILE: {key_file}: ")
    assert secured.get("/models", headers=issued["predict"].headers).status_code == 200
    assert (reloads(secured, issued, "loaded"), reloads(secured, issued, "refused")) == (0, 1)
    assert last_successful(secured, issued) == 0
    write_key_file(key_file, issued["metrics"], issued["admin"])
    reload_keys(secured)
    assert last_successful(secured, issued) == 1


def test_key_reload_without_an_admin_key_is_rejected_while_admin_routes_are_enabled(
    secured: TestClient, issued: Issued, key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_key_file(key_file, issued["predict"], issued["metrics"])
    reload_keys(secured)
    (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "no key has the role admin" in record.__dict__["fields"]["error"]
    response = secured.post("/admin/models/reload", headers=issued["admin"].headers)
    assert response.status_code == 200


def test_admin_routes_are_disabled_by_default(make_secured: MakeClient, issued: Issued) -> None:
    client = make_secured(admin=False)
    response = client.post("/admin/models/reload", headers=issued["admin"].headers)
    assert response.status_code == 404


def test_admin_routes_without_keys_are_a_start_error(make_client: MakeClient) -> None:
    with pytest.raises(AdminWithoutKeys, match="OODGUARD_KEYS_FILE"):
        make_client(admin=True)


def test_admin_routes_without_an_admin_key_are_a_start_error(
    make_secured: MakeClient, issued: Issued, key_file: Path
) -> None:
    write_key_file(key_file, issued["predict"], issued["metrics"])
    with pytest.raises(AdminWithoutKeys, match="--role admin"):
        make_secured()
    assert make_secured(admin=False).get("/healthz").status_code == 200


def test_unreadable_key_file_is_a_start_error(make_client: MakeClient) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        make_client(keys_file=Path("/nowhere/keys.toml"))
