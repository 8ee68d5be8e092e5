"""Files and folders that a command cannot read or write are reported in one line."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from oodguard.training.cli.app import app
from tests.training.recipes import RECIPE

LONG = "x" * 300


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A valid recipe; `text.md` is a file in the current folder, `work` another folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.md").write_text("text", encoding="utf-8")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.tex").write_text("text", encoding="utf-8")
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def _run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def _assert_one_line(result: Result, *parts: str) -> None:
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    assert line.startswith("oodguard-train: ")
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("text.md", "text.md is a file, expected the path of a folder"),
        ("/proc/x", "/proc/x: cannot create the folder of a run: No such file"),
        (LONG, f"{LONG}: cannot create the folder of a run: File name too long"),
        ("work", "work exists and is not a run: it contains thesis.tex. It was not changed"),
    ],
    ids=["file", "proc", "long", "other folder"],
)
def test_fit_rejects_an_output_folder_that_it_cannot_create(
    recipe: Path, out: str, message: str
) -> None:
    _assert_one_line(_run("fit", recipe, "--out", out), message, "hoose another")
    assert [path.name for path in Path("work").iterdir()] == ["thesis.tex"]


@pytest.mark.usefixtures("recipe")
def test_fit_rejects_a_recipe_that_is_not_utf_8() -> None:
    Path("latin.toml").write_bytes(b"name = '\xe9'")
    _assert_one_line(_run("fit", "latin.toml"), "latin.toml: byte 8 is 0xe9, expected UTF-8")


@pytest.mark.usefixtures("recipe")
@pytest.mark.parametrize(
    "words",
    [
        ("fit", LONG),
        ("fit", "tiny.toml", "--from", LONG),
        ("fit", "tiny.toml", "--resume", "--out", LONG),
        ("evaluate", LONG),
        ("evaluate", "text.md"),
        ("evaluate", "tiny.toml", "--recipe", LONG),
        ("export", "text.md", "--out", "bundle"),
        ("export", "text.md", "--out", LONG),
        ("export", "text.md", "--out", "text.md"),
        ("wrap", LONG, "--data", "work", "--out", "bundle"),
    ],
    ids=lambda words: " ".join(word.replace(LONG, "LONG") for word in words),
)
def test_command_reports_an_invalid_path_in_one_line(words: tuple[str, ...]) -> None:
    _assert_one_line(_run(*words), LONG if LONG in words else "text.md")


@pytest.mark.usefixtures("recipe")
def test_command_escapes_control_characters_of_names() -> None:
    result = _run("evaluate", "\x1b[31mred\u202e")
    _assert_one_line(result, r"\x1b[31mred\u202e is not the folder of a run")


@pytest.mark.usefixtures("recipe")
def test_pipes_in_place_of_files_are_not_opened() -> None:
    os.mkfifo("pipe")
    _assert_one_line(_run("fit", "pipe"), "pipe: the path is a pipe or a device, expected a file")
    wrap = _run("wrap", "pipe", "--data", "work", "--out", "bundle")
    _assert_one_line(wrap, "pipe: the path is a pipe or a device, expected a file")
