"""A file of keys is read whole or refused, and what stood in it is never repeated."""

import logging
from datetime import date
from pathlib import Path

import pytest

from oodguard.service.auth.key_file import (
    MOST_BYTES,
    KeyEntry,
    parse_entries,
    parse_keys,
    read_file,
    source,
)
from oodguard.service.auth.keys import new_token
from oodguard.service.errors import KeyFileError
from oodguard.service.settings import Settings
from tests.service.security.holders import Holder, text_of

HASH = f"sha256:{'0' * 32}:{'1' * 64}"
WHOLE = f"""
[[keys]]
id = "shop"
roles = ["predict", "metrics"]
hash = "{HASH}"
created = 2026-11-24
requests_per_minute = 600
"""


def test_every_field_of_an_entry_is_read() -> None:
    (key,) = parse_keys(WHOLE, "keys.toml")
    assert key.id == "shop"
    assert key.roles == {"predict", "metrics"}
    assert key.requests_per_minute == 600
    assert str(key.stored) == HASH
    (entry,) = parse_entries(WHOLE, "keys.toml")
    assert entry.created == date(2026, 11, 24)


def test_what_an_entry_writes_is_what_is_read() -> None:
    entry = KeyEntry(id="a-1", roles=["admin"], hash=HASH, created=date(2026, 1, 2))
    bare = KeyEntry(id="b", roles=["predict", "admin"], hash=HASH, requests_per_minute=1)
    assert parse_entries(entry.as_toml() + bare.as_toml(), "keys.toml") == [entry, bare]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "keys: Field required"),
        ("keys = []", "keys: List should have at least 1 item"),
        ("keys = 3", "keys: Input should be a valid list"),
        ("[[keys]", "this is not TOML"),
        (f"n = {'1' * 5000}", "this is not TOML"),
        (WHOLE + WHOLE, "an id is wanted once; more came of shop"),
        (WHOLE.replace("600", "0"), "keys.0.requests_per_minute"),
        (WHOLE.replace("600", '"600"'), "keys.0.requests_per_minute"),
        (WHOLE.replace("metrics", "root"), "keys.0.roles.1"),
        (WHOLE.replace('["predict", "metrics"]', "[]"), "keys.0.roles"),
        (WHOLE.replace('"shop"', '"Shop"'), "keys.0.id"),
        (WHOLE.replace('"shop"', '"a_b"'), "keys.0.id"),
        (WHOLE.replace("sha256:", "md5:"), "keys.0.hash"),
        (WHOLE + "expires = 2030-01-01\n", "keys.0.expires: Extra inputs are not permitted"),
        ("version = 2\n" + WHOLE, "version: Extra inputs are not permitted"),
    ],
)
def test_a_text_that_is_not_as_wanted_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(KeyFileError) as refused:
        parse_keys(text, "keys.toml")
    assert str(refused.value).startswith("keys.toml: ")
    assert said in str(refused.value)


@pytest.mark.parametrize("field", ["hash", "id", "roles"])
def test_a_key_where_its_hash_belongs_is_refused_without_being_repeated(field: str) -> None:
    token = new_token("shop")
    given = {"id": '"shop"', "roles": '["predict"]', "hash": f'"{HASH}"', field: f'"{token}"'}
    text = "[[keys]]\n" + "".join(f"{name} = {value}\n" for name, value in given.items())
    with pytest.raises(KeyFileError) as refused:
        parse_keys(text, "keys.toml")
    assert f"keys.0.{field}" in str(refused.value)
    assert token not in str(refused.value)


def test_a_file_that_everybody_can_read_is_read_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(WHOLE)
    path.chmod(0o600)
    assert read_file(path) == WHOLE
    assert caplog.records == []
    path.chmod(0o604)
    with caplog.at_level(logging.WARNING):
        assert read_file(path) == WHOLE
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{path} can be read by everybody")


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        read_file(tmp_path / "missing.toml")
    with pytest.raises(KeyFileError, match="directory"):
        read_file(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(KeyFileError, match="no text in UTF-8"):
        read_file(tmp_path / "bytes.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(KeyFileError, match=f"more than {MOST_BYTES} bytes"):
        read_file(tmp_path / "large.toml")


def test_keys_come_from_a_file_or_from_the_environment_and_not_from_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert source(Settings()) is None
    holder = Holder.with_roles("predict", key_id="shop")
    monkeypatch.setenv("OODGUARD_KEYS", text_of(holder))
    read = source(Settings())
    assert read is not None
    assert read().find(holder.token) is not None
    monkeypatch.setenv("OODGUARD_KEYS_FILE", str(tmp_path / "keys.toml"))
    with pytest.raises(KeyFileError, match="set one of them"):
        source(Settings())
