"""TOML files of the operator: limits that precede the parser."""

import os
from pathlib import Path

import pytest

from oodguard.service.errors import UnreadableFile
from oodguard.service.regular_file import read_regular_file
from oodguard.service.toml_file import MAX_KEY_PARTS, parse_toml

PARTS = 32_000


@pytest.mark.parametrize(
    "text",
    [
        "a" + ".a" * PARTS + " = 1",
        "a" + " . a" * PARTS + " = 1",
        '"a"' + '."a.b"' * PARTS + " = 1",
        "'a'" + ".'a'" * PARTS + " = 1",
        "[" + "a" + ".a" * PARTS + "]",
        "[[a" + ".a" * PARTS + "]]",
        "x = {a" + ".a" * PARTS + " = 1}",
        'x = {y = """z"""", a' + ".a" * PARTS + " = 1}",
        "x = {y = '''z'''', a" + ".a" * PARTS + " = 1}",
        'x = """"""\na' + ".a" * PARTS + " = 1",
        "x = 1 # \"\"\"\na" + ".a" * PARTS + " = 1",
        "a" + ".a" * MAX_KEY_PARTS + " = 1",
    ],
)  # fmt: skip
def test_toml_file_with_a_key_of_many_parts_is_refused_before_it_is_parsed(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tomllib.loads", lambda _: pytest.fail("parsed"))
    with pytest.raises(ValueError, match="has more than 8 parts"):
        parse_toml(text)


@pytest.mark.parametrize("opening", ["[", "{a = "])
def test_toml_file_with_deep_nesting_is_refused(opening: str) -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        parse_toml("a = " + opening * 50_000)


def test_toml_file_may_have_dots_in_strings_comments_and_numbers() -> None:
    dots = "a.b" * 100
    assert parse_toml(f"# {dots}\na = '{dots}' # {dots}\nb = [{'1.5, ' * 100}]") == {
        "a": dots,
        "b": [1.5] * 100,
    }
    assert parse_toml(f'a = """{dots}\n\\"""{dots}"""') == {"a": f'{dots}\n"""{dots}'}
    assert parse_toml(f"[models.'{dots}'.x]") == {"models": {dots: {"x": {}}}}
    assert parse_toml("a" + ".a" * (MAX_KEY_PARTS - 1) + " = 1")


def test_regular_file_is_required(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for path in (tmp_path / "pipe", tmp_path / "link", tmp_path, Path("/dev/zero")):
        with pytest.raises(UnreadableFile, match="regular file"):
            read_regular_file(path, 10)
    with pytest.raises(FileNotFoundError):
        read_regular_file(tmp_path / "missing", 10)
    (tmp_path / "file").write_bytes(b"x" * 11)
    with pytest.raises(UnreadableFile, match="larger than the limit of 10 bytes"):
        read_regular_file(tmp_path / "file", 10)
    assert read_regular_file(tmp_path / "file", 11) == b"x" * 11
