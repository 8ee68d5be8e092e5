"""Key files: complete validation, and messages that never repeat the content."""

import logging
import os
from datetime import date
from pathlib import Path

import pytest

from oodguard.service.auth.key_file import (
    MAX_FILE_BYTES,
    key_source,
    parse_keys,
    read_file,
)
from oodguard.service.auth.keys import Key, new_token
from oodguard.service.errors import KeyFileError
from oodguard.service.settings import Settings
from tests.service.api_keys import IssuedKey, key_file_text

HASH = f"sha256:{'0' * 32}:{'1' * 64}"
COMPLETE = f"""
[[keys]]
id = "shop"
roles = ["predict", "metrics"]
hash = "{HASH}"
created = 2026-11-24
requests_per_minute = 600
"""


def test_key_file_entry_is_parsed_with_every_field() -> None:
    (key,) = parse_keys(COMPLETE, "keys.toml")
    assert key.id == "shop"
    assert key.roles == ["predict", "metrics"]
    assert key.requests_per_minute == 600
    assert key.hash == HASH
    assert key.created == date(2026, 11, 24)


def test_key_file_entry_is_parsed_from_its_own_toml() -> None:
    entry = Key(id="a-1", roles=["admin"], hash=HASH, created=date(2026, 1, 2))
    minimal = Key(id="b", roles=["predict", "admin"], hash=HASH, requests_per_minute=1)
    assert parse_keys(entry.as_toml() + minimal.as_toml(), "keys.toml") == [entry, minimal]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "keys is missing"),
        ("keys = []", "keys: expected a length of at least 1"),
        ("keys = 3", "keys: expected an array"),
        ("[[keys]", "invalid TOML"),
        ("a" + ".a" * 32_000 + " = 1", "has more than 8 parts"),
        ("a = " + "[" * 20_000, "nested too deep"),
        (f"n = {'1' * 5000}", "invalid TOML"),
        (COMPLETE + COMPLETE, "duplicate ids: shop"),
        (COMPLETE.replace("600", "0"), "keys[0].requests_per_minute"),
        (COMPLETE.replace("600", '"600"'), "keys[0].requests_per_minute"),
        (
            COMPLETE.replace("metrics", "root"),
            "keys[0].roles[1]: expected 'predict', 'metrics' or 'admin'",
        ),
        (COMPLETE.replace('["predict", "metrics"]', "[]"), "keys[0].roles"),
        (COMPLETE.replace('"shop"', '"Shop"'), "keys[0].id"),
        (COMPLETE.replace('"shop"', '"a_b"'), "keys[0].id"),
        (COMPLETE.replace("sha256:", "md5:"), "keys[0].hash"),
        (COMPLETE + "expires = 2030-01-01\n", "keys[0].expires is not a known key"),
        ("version = 2\n" + COMPLETE, "version is not a known key"),
    ],
)
def test_key_file_error_names_the_invalid_field(text: str, message: str) -> None:
    with pytest.raises(KeyFileError) as raised:
        parse_keys(text, "keys.toml")
    assert str(raised.value).startswith("keys.toml: ")
    assert message in str(raised.value)


@pytest.mark.parametrize("field", ["hash", "id", "roles"])
def test_key_file_error_does_not_repeat_a_key_in_the_wrong_place(field: str) -> None:
    token = new_token("shop")
    fields = {"id": '"shop"', "roles": '["predict"]', "hash": f'"{HASH}"', field: f'"{token}"'}
    text = "[[keys]]\n" + "".join(f"{name} = {value}\n" for name, value in fields.items())
    with pytest.raises(KeyFileError) as raised:
        parse_keys(text, "keys.toml")
    assert f"keys[0].{field}" in str(raised.value)
    assert token not in str(raised.value)


def test_key_file_readable_by_every_user_is_read_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(COMPLETE)
    path.chmod(0o600)
    assert read_file(path) == COMPLETE
    assert caplog.records == []
    path.chmod(0o604)
    with caplog.at_level(logging.WARNING):
        assert read_file(path) == COMPLETE
    (record,) = caplog.records
    assert record.getMessage().startswith("The key file is readable by every user")
    assert record.__dict__["fields"] == {"file": str(path)}


def test_key_file_that_cannot_be_read_is_an_error_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    with pytest.raises(KeyFileError, match="No such file"):
        read_file(file)
    with pytest.raises(KeyFileError, match="is a folder"):
        read_file(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(KeyFileError, match="not a regular file"):
        read_file(tmp_path / "pipe")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(KeyFileError, match="not UTF-8"):
        read_file(file)
    file.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(KeyFileError, match=f"limit of {MAX_FILE_BYTES} bytes"):
        read_file(file)


def test_keys_are_read_from_a_file_or_from_a_variable_but_not_from_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert key_source(Settings()) is None
    key = IssuedKey.create("predict", key_id="shop")
    monkeypatch.setenv("OODGUARD_KEYS", key_file_text(key))
    read = key_source(Settings())
    assert read is not None
    assert read().find(key.token) is not None
    monkeypatch.setenv("OODGUARD_KEYS_FILE", str(tmp_path / "keys.toml"))
    with pytest.raises(KeyFileError, match="Set one of them"):
        key_source(Settings())
