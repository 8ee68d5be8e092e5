"""JSON and text files in place of Parquet: encodings, arrays, and files of other formats."""

import json
from pathlib import Path

import pytest

from oodguard.models.errors import RecipeError
from oodguard.sources.reader import list_source
from oodguard.sources.source import Source
from tests.sources.picture_files import contents, write

ROWS = ({"kind": "a", "image": "0.png", "label": "cat"}, {"image": "1.png", "label": "dog"})
LINES = "\n".join(map(json.dumps, ROWS))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("name", ["t.jsonl", "t.json", "t.txt"])
@pytest.mark.parametrize(
    "text",
    [LINES, f"\n  {LINES}\n\n", json.dumps(ROWS), json.dumps(ROWS, indent=2), " \n" + LINES],
    ids=["lines", "blank lines", "array", "indented array", "leading line"],
)
def test_json_is_read_with_a_byte_order_mark_and_as_an_array(
    tmp_path: Path, encoding: str, name: str, text: str
) -> None:
    for number in range(2):
        write(tmp_path / f"{number}.png", number)
    (tmp_path / name).write_text(text, encoding=encoding)
    assert contents(Source(table=tmp_path / name)) == {0: "cat", 1: "dog"}


def test_column_that_the_first_json_object_lacks_is_read(tmp_path: Path) -> None:
    rows = [{"image": "0.png"}, {"image": "1.png", "label": "dog"}]
    for number in range(2):
        write(tmp_path / f"{number}.png", number)
    (tmp_path / "t.json").write_text(json.dumps(rows), encoding="utf-8")
    assert contents(Source(table=tmp_path / "t.json"), labelled=False) == {0: None, 1: "dog"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LINES.encode("utf-16"), "the text is UTF-16, expected UTF-8: save the table with"),
        (b"PK\3\4\0\0\0", "the file is binary and not Parquet, expected a table as Parquet, CSV"),
        (b'[{"image": "0.png"}', r".*starts with '\['.* is not a JSON array: .* an array of obj"),
        (b'[1, {"image": "0.png"}]', "invalid rows: 1, .*array of JSON objects .*\n  row 0: is"),
        (b"[" * 100_000, ".*is not a JSON array: .*recursion"),
    ],
    ids=["utf-16", "zip", "truncated", "number", "deep"],
)
def test_text_that_is_no_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(RecipeError, match=rf"t\.json: {message}"):
        list_source(Source(table=tmp_path / "t.json"), labelled=True)


@pytest.mark.parametrize("column", ["sort", "Art"])
def test_table_without_a_known_label_column_lists_its_columns(tmp_path: Path, column: str) -> None:
    for number in range(2):
        write(tmp_path / f"{number}.png", number)
    (tmp_path / "t.csv").write_text(f"image,{column}\n0.png,cat\n1.png,dog\n", encoding="utf-8")
    (tmp_path / "t.jsonl").write_text(LINES.replace('"label"', f'"{column}"'), encoding="utf-8")
    for name, columns in (("t.csv", ["image", column]), ("t.jsonl", None)):
        source = Source(table=tmp_path / name)
        assert list_source(source, labelled=False).classes == ()
        with pytest.raises(RecipeError, match="no column of labels found among the col") as caught:
            list_source(source, labelled=True)
        assert "Name it with label_column in its table of the recipe" in str(caught.value)
        assert columns is None or str(columns) in str(caught.value)
    assert contents(Source(table=tmp_path / "t.csv", label_column=column)) == {0: "cat", 1: "dog"}


def test_white_space_around_a_label_is_not_part_of_the_class(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.png", number)
    (tmp_path / "t.csv").write_text("image,label\n0.png,cat\n1.png, cat \n2.png, dog\n")
    assert contents(Source(table=tmp_path / "t.csv")) == {0: "cat", 1: "cat", 2: "dog"}


def test_two_spellings_of_a_label_column_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "0.png", 0)
    (tmp_path / "t.csv").write_text("image,Label,label\n0.png,a,b\n")
    with pytest.raises(RecipeError, match=r"found the columns \['Label', 'label'\], expected one"):
        list_source(Source(table=tmp_path / "t.csv"), labelled=True)
    assert contents(Source(table=tmp_path / "t.csv", label_column="label")) == {0: "b"}


@pytest.mark.parametrize("form", ["{}", "[{}]"])
def test_key_that_occurs_twice_in_a_json_object_is_refused(tmp_path: Path, form: str) -> None:
    row = '{"image": "0.png", "label": "cat", "label": "dog"}'
    (tmp_path / "t.jsonl").write_text(form.format(row))
    with pytest.raises(RecipeError, match="the key 'label' occurs twice"):
        list_source(Source(table=tmp_path / "t.jsonl"), labelled=True)


def test_key_that_occurs_twice_among_many_is_found_in_linear_time(tmp_path: Path) -> None:
    """A row of 60,000 keys, the last of them twice, took minutes."""
    keys = ", ".join(f'"key {number}": 0' for number in range(100_000))
    (tmp_path / "t.jsonl").write_text(f'{{{keys}, "key 99999": 0}}')
    with pytest.raises(RecipeError, match="the key 'key 99999' occurs twice"):
        list_source(Source(table=tmp_path / "t.jsonl"), labelled=True)


def test_table_of_a_header_alone_has_no_images(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,label\n")
    with pytest.raises(RecipeError, match=r"t\.csv: found no images, expected at least 1"):
        list_source(Source(table=tmp_path / "t.csv"), labelled=True)
