"""Keys are read again while the service runs; bad ones leave those before in force."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from oodguard.service.errors import AdminWithoutKeys, KeyFileError
from tests.service.conftest import MakeClient
from tests.service.security.holders import Holder, text_of

Holders = dict[str, Holder]


def look_again(client: TestClient) -> None:
    app: Any = client.app
    assert client.portal is not None
    client.portal.call(app.state.keys.reload)


def read(client: TestClient, holders: Holders) -> dict[str, float]:
    text = client.get("/metrics", headers=holders["metrics"].headers).text
    rows = [line for line in text.splitlines() if line.startswith("oodguard_keys_read_total{")]
    return {row.split('"')[1]: float(row.split()[-1]) for row in rows}


def test_a_new_key_counts_and_a_removed_one_does_not_once_the_file_is_read_again(
    guarded: TestClient, holders: Holders, keys_file: Path
) -> None:
    new = Holder.with_roles("predict", key_id="new")
    keys_file.write_text(text_of(new, holders["metrics"], holders["admin"]))
    assert guarded.get("/models", headers=new.headers).status_code == 401
    look_again(guarded)
    assert guarded.get("/models", headers=new.headers).status_code == 200
    assert guarded.get("/models", headers=holders["predict"].headers).status_code == 401
    assert read(guarded, holders) == {"loaded": 1}


@pytest.mark.parametrize("content", ["", "[[keys]", "keys = []", None])
def test_a_bad_file_leaves_the_old_keys_in_force_and_the_log_says_why(
    guarded: TestClient,
    holders: Holders,
    keys_file: Path,
    content: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if content is None:
        keys_file.unlink()
    else:
        keys_file.write_text(content)
    with caplog.at_level(logging.WARNING, "oodguard.keys"):
        look_again(guarded)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"keys refused, those before stay in force: {keys_file}")
    assert guarded.get("/models", headers=holders["predict"].headers).status_code == 200
    assert read(guarded, holders) == {"refused": 1}


def test_a_file_without_an_admin_is_not_taken_over_while_the_admin_routes_are_there(
    guarded: TestClient,
    holders: Holders,
    keys_file: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    keys_file.write_text(text_of(holders["predict"], holders["metrics"]))
    look_again(guarded)
    assert "no key has the role admin" in caplog.text
    response = guarded.post("/admin/models/reload", headers=holders["admin"].headers)
    assert response.status_code == 200


def test_the_admin_routes_are_not_there_by_default(
    make_guarded: Callable[..., TestClient], holders: Holders
) -> None:
    client = make_guarded(admin=False)
    response = client.post("/admin/models/reload", headers=holders["admin"].headers)
    assert response.status_code == 404


def test_admin_routes_without_keys_are_refused_at_start(make_client: MakeClient) -> None:
    with pytest.raises(AdminWithoutKeys, match="OODGUARD_KEYS_FILE"):
        make_client(admin=True)


def test_admin_routes_without_an_admin_are_refused_at_start(
    make_guarded: Callable[..., TestClient], holders: Holders, keys_file: Path
) -> None:
    keys_file.write_text(text_of(holders["predict"], holders["metrics"]))
    with pytest.raises(AdminWithoutKeys, match="--role admin"):
        make_guarded()
    assert make_guarded(admin=False).get("/healthz").status_code == 200


def test_keys_that_cannot_be_read_are_refused_at_start(make_client: MakeClient) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        make_client(keys_file=Path("/nowhere/keys.toml"))


def test_keys_may_come_as_text(make_client: MakeClient, holders: Holders) -> None:
    client = make_client(keys=text_of(holders["predict"]))
    assert client.get("/models", headers=holders["predict"].headers).status_code == 200
    assert client.get("/models").status_code == 401
