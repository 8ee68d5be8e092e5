"""The command line predicts files, verifies bundles, and reports errors in one line."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from oodguard.service.api.schemas import Prediction
from oodguard.service.cli import app
from oodguard.service.memory import MemoryLimit
from oodguard.service.prediction import memory_budget
from tests.service.pictures import RED, WHITE, encode, plain
from tests.service.tiny import write_tiny


def oodguard(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(
        app, [str(argument) for argument in arguments], env={"COLUMNS": "200", **environment}
    )


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "red.png", tmp_path / "white.jpg"]
    paths[0].write_bytes(encode(plain(RED)))
    paths[1].write_bytes(encode(plain(WHITE), "JPEG"))
    return paths


def test_predict_command_prints_a_row_per_file(bundle_folder: Path, pictures: list[Path]) -> None:
    result = oodguard("predict", *pictures, "--bundle", bundle_folder)
    assert result.exit_code == 0, result.output
    rows = [line for line in result.stdout.splitlines() if "tmp" in line or ".png" in line]
    assert str(pictures[0]) in result.stdout  # in one line
    assert any("accept" in row and "0.6653" in row for row in rows)
    assert "reject" in result.stdout


def test_predict_command_prints_json_with_the_predictions_of_the_http_response(
    bundle_folder: Path, pictures: list[Path]
) -> None:
    result = oodguard("predict", "--json", *pictures, "--bundle", bundle_folder)
    answer = json.loads(result.stdout)
    assert [entry.pop("file") for entry in answer["predictions"]] == [str(p) for p in pictures]
    verdicts = [Prediction.model_validate(entry) for entry in answer["predictions"]]
    assert [verdict.decision for verdict in verdicts] == ["accept", "reject"]
    assert answer["model"]["name"] == "tiny"


def test_predict_command_decides_at_a_false_discovery_rate(
    bundle_folder: Path, pictures: list[Path]
) -> None:
    """The p-values of red and white are 167 and 1 of 251."""
    result = oodguard("predict", "--fdr", "0.9", "--json", *pictures, "--bundle", bundle_folder)
    answer = json.loads(result.stdout)
    assert answer["policy"]["fdr"] == 0.9
    assert [each["decision"] for each in answer["predictions"]] == ["reject", "reject"]
    table = oodguard("predict", "--fdr", "0.1", *pictures, "--bundle", bundle_folder).stdout
    assert "rejected at the false-discovery rate 0.1" in table
    assert "unlike_classes" in table


@pytest.mark.parametrize("rate", ["0", "1", "nan", "x", "-0.5"])
def test_predict_command_rejects_invalid_false_discovery_rates(
    bundle_folder: Path, pictures: list[Path], rate: str
) -> None:
    result = oodguard("predict", f"--fdr={rate}", *pictures, "--bundle", bundle_folder)
    assert result.exit_code == 1
    assert f'--fdr is "{rate}", expected a number above 0 and below 1' in result.stderr


@pytest.mark.parametrize("options", [["--json"], []], ids=["JSON", "table"])
def test_predict_command_escapes_file_names_that_are_not_utf8(
    bundle_folder: Path, tmp_path: Path, options: list[str]
) -> None:
    path = tmp_path / os.fsdecode(b"\xff.png")
    path.write_bytes(encode(plain(RED)))
    result = oodguard("predict", *options, path, "--bundle", bundle_folder)
    assert result.exit_code == 0, result.output
    assert r"\udcff.png" in result.stdout


@pytest.mark.parametrize("options", [["--json"], []], ids=["JSON", "table"])
def test_predict_command_prints_names_that_the_terminal_cannot_encode(
    tmp_path: Path, options: list[str]
) -> None:
    write_tiny(tmp_path / "bundle", classes=("rot", "gr\xfcn", "\u9752"))
    path = tmp_path / "\u732b.png"
    path.write_bytes(encode(plain(RED)))
    words = ["predict", *options, str(path), "--bundle", str(tmp_path / "bundle")]
    done = subprocess.run(
        [sys.executable, "-m", "oodguard.service", *words],
        cwd=Path(__file__).parents[2] / "src",
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict", "COLUMNS": "200"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if options:
        (prediction,) = json.loads(done.stdout)["predictions"]
        assert prediction["file"] == str(path)
    else:
        assert b"\\u732b.png" in done.stdout


def test_predict_command_reports_invalid_files_and_predicts_the_others(
    bundle_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("no image")
    missing = tmp_path / "missing.png"
    result = oodguard(
        *("predict", "--json", missing, *pictures, tmp_path / "text.png", tmp_path),
        *("--bundle", bundle_folder),
    )
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)["predictions"]) == 2
    first, second, third = result.stderr.splitlines()
    assert f"{tmp_path}: the path is a folder, expected images, such as {tmp_path}/*.jpg" in third
    assert f"{missing}: No such file" in first
    assert f"{tmp_path / 'text.png'}: the 8 bytes are not an image" in second


def test_predict_command_reads_no_pipes_and_devices(
    bundle_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    """A pipe without a writer blocked the command, and a link to /dev/zero took all memory."""
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    files = [tmp_path / "pipe.png", tmp_path / "zero.png"]
    result = oodguard("predict", "--json", *files, *pictures, "--bundle", bundle_folder)
    assert len(json.loads(result.stdout)["predictions"]) == 2
    expected = "the path is a pipe or a device, expected an image file"
    assert [line.endswith(expected) for line in result.stderr.splitlines()] == [True, True]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_predict_command_prints_no_control_characters_of_file_names(
    bundle_folder: Path, tmp_path: Path, options: list[str]
) -> None:
    name = "\x1b[2J\x07\u202e\n.png"
    (tmp_path / name).write_bytes(encode(plain()))
    (tmp_path / f"bad{name}").write_bytes(b"no image")
    files = [tmp_path / name, tmp_path / f"bad{name}"]
    result = oodguard("predict", *options, *files, "--bundle", bundle_folder)
    assert result.exit_code == 1
    assert "bad\\x1b[2J\\x07\\u202e\\n.png: " in result.stderr
    if options:
        (prediction,) = json.loads(result.stdout)["predictions"]
        assert prediction["file"] == str(files[0])
    else:
        assert "\\x1b[2J\\x07\\u202e\\n.png" in result.stdout
    for text in (result.stderr, result.stdout):
        assert not {"\x1b", "\x07", *([] if options else "\u202e")} & set(text)


def test_verify_command_prints_a_summary(bundle_folder: Path) -> None:
    result = oodguard("verify", bundle_folder)
    assert result.exit_code == 0
    assert "tiny 1" in result.stdout
    assert "250 images" in result.stdout


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
        ("serve", "OODGUARD_ALPHA", "0.01", 1, "299"),
        ("verify", "OODGUARD_ALPHA", "0.01", 1, "299"),
        ("verify", "OODGUARD_SCORE", "energy", 1, "'energy'.*brightness"),
        ("serve", "OODGUARD_SCORE", "no", 1, "tiny: OODGUARD_SCORE is 'no', expected.*brightness"),
        ("serve", "OODGUARD_KEYS_FILE", "/no", 1, "OODGUARD_KEYS_FILE: /no: No such file"),
        ("serve", "OODGUARD_MAX_IMAGES", "9999", 2, "PENDING_IMAGES is 1024, below .* is 9999"),
        ("serve", "OODGUARD_MAX_PIXELS", "89000000", 1, "need up to .* MB .* expected at most"),
        ("serve", "OODGUARD_ROOT_PATH", "a b", 2, "ROOT_PATH is 'a b', expected a path such as"),
        ("serve", "OODGUARD_ALPHA", "7", 2, "ALPHA is '7', expected a number less than 1$"),
        ("serve", "OODGUARD_ALPHA", "0", 2, "ALPHA is '0', expected a number greater than 0$"),
        ("serve", "OODGUARD_ALPHA", "x", 2, "ALPHA is 'x', expected a number$"),
        ("serve", "OODGUARD_ALPHA", "none", 1, "alpha is none and beta is none, expected a rate"),
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


def test_predict_command_ignores_damaged_metadata_without_warnings(
    bundle_folder: Path, tmp_path: Path
) -> None:
    # A TIFF directory with one entry, whose 1000 characters are beyond the end of the file.
    entry = struct.pack("<HHII", 0x010E, 2, 1000, 0x7FFFFF)
    exif = b"Exif\x00\x00II*\x00" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    picture = tmp_path / "odd.jpg"
    picture.write_bytes(encode(plain(RED), "JPEG", exif=exif))
    with pytest.warns(UserWarning, match="larger than file"), Image.open(picture) as image:
        image.getexif().get(0x010E)
    result = oodguard("predict", picture, "--bundle", bundle_folder)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""


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
