"""The command line verifies bundles, and reports errors in one line."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodguard.service.cli import app
from oodguard.service.memory import MemoryLimit
from oodguard.service.prediction import memory_budget
from tests.service.commands import oodguard


def test_verify_command_prints_a_summary(bundle_folder: Path) -> None:
    result = oodguard("verify", bundle_folder)
    assert result.exit_code == 0
    assert "tiny 1" in result.stdout
    assert "250 images" in result.stdout
    assert (
        "between_classes, unlike_classes. Reasons of image quality, such as too_dark, are not"
        " available: the bundle has no qualities"
    ) in " ".join(result.stdout.split())


def damage(folder: Path, kind: str) -> None:
    onnx, manifest = folder / "model.onnx", folder / "manifest.json"
    content = onnx.read_bytes()
    if kind == "missing":
        onnx.unlink()
    elif kind == "extra":
        (folder / "weights.pkl").write_bytes(b"x")
    elif kind == "truncated":
        onnx.write_bytes(content[:-1])
    elif kind == "altered":
        onnx.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif kind == "unknown schema":
        content = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**content, "schema_version": 4}))
    else:
        shutil.rmtree(folder)


@pytest.mark.parametrize("command", ["serve", "verify", "predict"])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("missing", "model.onnx"),
        ("extra", "weights.pkl"),
        ("truncated", "model.onnx"),
        ("altered", "model.onnx"),
        ("unknown schema", "schema_version"),
        ("no folder", "tiny"),
    ],
)
def test_invalid_bundle_is_reported_in_one_line_with_the_file(
    bundle_folder: Path, command: str, kind: str, expected: str, pictures: list[Path]
) -> None:
    damage(bundle_folder, kind)
    arguments: dict[str, list[object]] = {
        "serve": ["--bundle", bundle_folder],
        "verify": [bundle_folder],
        "predict": [pictures[0], "--bundle", bundle_folder],
    }
    result = oodguard(command, *arguments[command])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("oodguard: ")
    assert expected in line
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("command", "name", "value", "exit_code", "message"),
    [
        # 1 - 0.99 ** n >= 0.95 holds for n >= 299.
        ("serve", "OODGUARD_ALPHA", "0.01", 3, "299"),
        ("verify", "OODGUARD_ALPHA", "0.01", 3, "299"),
        ("verify", "OODGUARD_SCORE", "energy", 1, "'energy'.*brightness"),
        ("serve", "OODGUARD_SCORE", "no", 1, "tiny: OODGUARD_SCORE is 'no', expected.*brightness"),
        ("serve", "OODGUARD_KEYS_FILE", "/no", 1, "OODGUARD_KEYS_FILE: /no: No such file"),
        ("serve", "OODGUARD_MAX_IMAGES", "9999", 2, "PENDING_IMAGES is 1024, below .* is 9999"),
        ("serve", "OODGUARD_MAX_PIXELS", "89000000", 1, "need up to .* MB .* expected at most"),
        ("serve", "OODGUARD_ROOT_PATH", "a b", 2, "ROOT_PATH is 'a b', expected a path such as"),
        ("serve", "OODGUARD_ALPHA", "7", 2, "ALPHA is '7', expected a number less than 1$"),
        ("serve", "OODGUARD_ALPHA", "0", 2, "ALPHA is '0', expected a number greater than 0$"),
        ("serve", "OODGUARD_ALPHA", "x", 2, "ALPHA is 'x', expected a number$"),
        ("serve", "OODGUARD_ALPHA", "none", 2, "alpha is none and beta is none, expected a rate"),
        ("serve", "OODGUARD_PORT", "70000", 2, "PORT is '70000', expected at most 65535$"),
        ("serve", "OODGUARD_MAX_BATCH", "2.5", 2, "BATCH is '2.5', expected a whole number$"),
        ("serve", "OODGUARD_DETAIL", "a", 2, "DETAIL is 'a', expected 'full' or 'verdict'$"),
        ("serve", "OODGUARD_ADMIN", "a", 2, "ADMIN is 'a', expected true or false$"),
        ("verify", "OODGUARD_ALHPA", "0.1", 0, "unknown setting OODGUARD_ALHPA"),
    ],
)
def test_invalid_setting_is_reported_with_received_and_expected(  # noqa: PLR0913
    monkeypatch: pytest.MonkeyPatch,
    bundle_folder: Path,
    command: str,
    name: str,
    value: str,
    exit_code: int,
    message: str,
) -> None:
    target = ["--bundle", bundle_folder] if command == "serve" else [bundle_folder]
    if name == "OODGUARD_MAX_PIXELS":
        limit = MemoryLimit(bytes=10**9, source="the cgroup")
        monkeypatch.setattr(memory_budget, "memory_limit", lambda: limit)
    result = oodguard(command, *target, **{name: value})
    assert result.exit_code == exit_code
    assert re.search(message, result.stderr)


def test_invalid_option_is_reported_by_its_name(bundle_folder: Path) -> None:
    result = oodguard("serve", "--bundle", bundle_folder, "--port", "99999")
    assert result.exit_code == 2
    assert result.stderr == "oodguard: --port is 99999, expected at most 65535\n"


@pytest.mark.parametrize("command", ["serve", "verify", "predict"])
def test_invalid_bundle_is_reported_with_its_folder(
    bundle_folder: Path, command: str, pictures: list[Path]
) -> None:
    damage(bundle_folder, "truncated")
    arguments = {"serve": [], "verify": [bundle_folder], "predict": pictures}[command]
    options = [] if command == "verify" else ["--bundle", bundle_folder]
    result = oodguard(command, *arguments, *options)
    assert result.stderr.startswith(f"oodguard: {bundle_folder}: model.onnx was truncated")


def test_commands_report_a_full_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys.toml"
    CliRunner().invoke(app, ["keys", "new", "--role", "predict", "--file", str(file)])
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended:
            app(["keys", "list", str(file)])
    assert ended.value.code == 1
    message = "oodguard: standard output cannot be written: No space left on device\n"
    assert capsys.readouterr().err == message
