"""`oodguard keys` creates valid keys and lists key files."""

import stat
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from oodguard.service.auth.key_file import parse_keys
from oodguard.service.auth.keys import Keyring
from oodguard.service.cli import app
from tests.service.full_disk import full_disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def keys(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["keys", *map(str, arguments)], env={"COLUMNS": "200"})


def test_keys_new_prints_the_key_and_its_entry() -> None:
    result = keys("new", "--role", "predict", "--role", "metrics", "--id", "shop")
    assert result.exit_code == 0, result.output
    token, _, entry = result.stdout.partition("\n")
    assert token.startswith("oodguard_shop_")
    assert token not in entry
    found = Keyring(parse_keys(entry, "stdout")).find(token)
    assert found is not None
    assert found.roles == ["predict", "metrics"]


def test_keys_new_with_a_file_prints_the_key_and_appends_its_hash(path: Path) -> None:
    limit = ("--requests-per-minute", 5)
    tokens = [
        keys("new", "--role", "predict", "--id", "a", "--file", path).stdout.strip(),
        keys("new", "--role", "admin", "--id", "b", "--file", path, *limit).stdout.strip(),
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert not any(token in text or token.split("_", 2)[2] in text for token in tokens)
    ring = Keyring(parse_keys(text, str(path)))
    found = [ring.find(token) for token in tokens]
    assert [(key.id, key.requests_per_minute) for key in found if key] == [("a", None), ("b", 5)]
    assert all(key.created is not None for key in parse_keys(text, str(path)))


@pytest.mark.parametrize("existing", [True, False])
def test_keys_new_on_a_full_disk_fails_and_leaves_the_file_unchanged(
    path: Path, *, existing: bool
) -> None:
    if existing:
        keys("new", "--role", "predict", "--id", "a", "--file", path)
    before = path.read_bytes() if existing else b""
    with full_disk(len(before) + 20):
        result = keys("new", "--role", "predict", "--id", "b", "--file", path)
    assert result.exit_code == 1
    message = f"oodguard: {path}: File too large. The key was not added and is not valid\n"
    assert result.stderr == message
    assert path.exists() == existing
    assert not existing or path.read_bytes() == before


@pytest.mark.parametrize("closed", [True, False])
def test_keys_new_adds_no_key_that_cannot_be_printed(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    closed: bool,
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", None if closed else full)
        with pytest.raises(SystemExit) as ended:
            app(["keys", "new", "--role", "predict", "--file", str(path)])
    assert ended.value.code == 1
    assert "oodguard: standard output " in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.parametrize("ending", ["", "\n", "\n\n"])
def test_keys_new_keeps_the_content_of_the_file(path: Path, ending: str) -> None:
    keys("new", "--role", "predict", "--id", "a", "--file", path)
    before = f"# ours\n{path.read_text().rstrip()}  # of the shop{ending}"
    path.write_text(before)
    assert keys("new", "--role", "predict", "--id", "b", "--file", path).exit_code == 0
    assert path.read_text().startswith(before)
    assert [key.id for key in parse_keys(path.read_text(), "")] == ["a", "b"]


def test_keys_new_rejects_a_duplicate_id_and_leaves_the_file_unchanged(path: Path) -> None:
    keys("new", "--role", "predict", "--id", "a", "--file", path)
    before = path.read_text()
    result = keys("new", "--role", "admin", "--id", "a", "--file", path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == f"oodguard: {path}: duplicate ids: a\n"
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--role", "root"], "roles is 'root', expected 'predict', 'metrics' or 'admin'"),
        (
            ["--role", "predict", "--id", "A B"],
            "id is 'A B', expected 1 to 32 lower-case ",
        ),
        (["--role", "predict", "--file", "/nowhere/keys.toml"], "/nowhere/keys.toml: No such file"),
    ],
)
def test_keys_new_reports_invalid_arguments_in_one_line(arguments: list[str], message: str) -> None:
    result = keys("new", *arguments)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"oodguard: {message}")
    assert result.stdout == ""


def test_keys_list_prints_id_roles_limit_and_date(path: Path) -> None:
    entry = f'hash = "sha256:{"0" * 32}:{"0" * 64}"'
    path.write_text(
        f'[[keys]]\nid = "a"\nroles = ["predict"]\n{entry}\n'
        f'[[keys]]\nid = "b"\nroles = ["metrics", "admin"]\n{entry}\n'
        "created = 2026-01-02\nrequests_per_minute = 60\n"
    )
    path.chmod(0o600)
    result = keys("list", path)
    assert result.stdout == "a  predict\nb  metrics,admin  60/min  2026-01-02\n"


def test_keys_list_rejects_an_invalid_file(path: Path) -> None:
    path.write_text("keys = []")
    result = keys("list", path)
    assert result.exit_code == 1
    assert "keys: expected a length of at least 1" in result.stderr
