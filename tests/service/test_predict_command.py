"""`oodguard predict` predicts files, folders and patterns, and reports unreadable ones."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from oodguard.service.api.schemas import Prediction
from tests.service.commands import oodguard
from tests.service.pictures import RED, encode, plain
from tests.service.tiny import write_tiny


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
    assert result.exit_code == 2
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
    missing, empty = tmp_path / "missing.png", tmp_path / "empty"
    empty.mkdir()
    result = oodguard(
        *("predict", "--json", missing, *pictures, tmp_path / "text.png", empty),
        *("--bundle", bundle_folder),
    )
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)["predictions"]) == 2
    first, second, third = result.stderr.splitlines()
    assert f"{empty}: the path is a folder, expected images, such as {empty}/*.jpg" in third
    assert f"{missing}: the file cannot be read: No such file" in first
    assert f"{tmp_path / 'text.png'}: the 8 bytes are not an image" in second


def test_predict_command_takes_folders_and_patterns(
    bundle_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    names = ["b/2.PNG", "a.webp", ".hidden.png", ".git/c.png", "notes.txt", "b/1.jpg"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode(plain(RED)))

    def files(*paths: object) -> list[str]:
        result = oodguard("predict", "--json", *paths, "--bundle", bundle_folder)
        return [each["file"] for each in json.loads(result.stdout)["predictions"]]

    below = [str(folder / name) for name in ("a.webp", "b/1.jpg", "b/2.PNG")]
    assert files(pictures[0], folder) == [str(pictures[0]), *below]
    assert files(folder / "**/*.[jP]*") == below[1:]
    bracket = tmp_path / "[1].png"
    bracket.write_bytes(encode(plain(RED)))
    assert files(bracket) == [str(bracket)]
    result = oodguard("predict", tmp_path / "no*.png", "--bundle", bundle_folder)
    assert result.exit_code == 1
    assert "no*.png: the file cannot be read: No such file" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--key-file", "k"], "--key-file is given without --url, expected both"),
        (["--model", "m"], "--model is given without --url, expected both"),
        (["--url", "http://a", "--bundle", "b"], "--bundle is given with --url, expected one of"),
    ],
)
def test_predict_command_refuses_options_that_exclude_each_other(
    options: list[str], message: str
) -> None:
    result = oodguard("predict", "a.png", *options)
    assert result.exit_code == 2
    assert message in result.stderr


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
