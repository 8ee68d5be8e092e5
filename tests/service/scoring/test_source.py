"""The pictures of a source: their order, tables next to other files, and repeated files."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oodguard.models.errors import RecipeError
from oodguard.service.scoring.picture_source import PictureSource
from oodguard.service.scoring.source import describe, list_pictures
from tests.service.conftest import BUCKET

BUCKET_URL = f"s3://{BUCKET}"


def listed(tmp_path: Path, *arguments: str) -> tuple[PictureSource, list[str]]:
    """Return the source, and its pictures and tables in their order."""
    names = tmp_path / "names"
    source = list_pictures(arguments, names, image_column=None, max_bytes=1000)
    found: list[str] = []
    for each in source.segments:
        rows = PictureSource.names_between(
            source.model_copy(update={"segments": (each,)}), 0, each.rows
        )
        found += [each.table] if each.table else [str(row) for row in rows]
    return source, [str(Path(each).resolve().relative_to(tmp_path / "in")) for each in found]


def write(tmp_path: Path, *names: str) -> str:
    folder = tmp_path / "in"
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".parquet"):
            pq.write_table(pa.table({"image": [b""]}), path)
        else:
            path.write_text("image\na.png" if name.endswith(".csv") else "")
    return str(folder)


def test_source_lists_a_folder_in_the_order_of_the_paths(tmp_path: Path) -> None:
    names = ["a.png", "b/1.png", "b/a/2.png", "b/c.png", "b-c/9.png", "b.png", "c/0.png", "10.png"]
    folder = write(tmp_path, *names)
    assert listed(tmp_path, folder)[1] == sorted(names)


def test_source_reads_the_tables_of_a_folder_with_a_readme(tmp_path: Path) -> None:
    folder = write(tmp_path, "README.md", "LICENSE", ".gitattributes", "data/2.csv", "1.parquet")
    source, found = listed(tmp_path, folder)
    assert found == ["1.parquet", "data/2.csv"]
    assert source.skipped == {".md": 1, "without an ending": 1}
    write(tmp_path, "data/a.png")
    source, found = listed(tmp_path, folder)
    assert found == ["data/a.png"]
    assert list(describe(source))[1:] == [
        "skipped files: 1 .csv, 1 .md, 1 .parquet, 1 without an ending",
        "tables next to pictures are not read: name them as sources, such as 'FOLDER/**/*.csv'"
        " 'FOLDER/**/*.parquet'",
    ]


def test_source_has_a_file_of_several_arguments_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path, "a/1.png", "a/2.png", "b/3.png", "t.txt")
    monkeypatch.chdir(folder)
    source, found = listed(
        tmp_path, f"{folder}/b", "**/*.png", ".", "t.txt", f"{folder}/a/../t.txt"
    )
    assert found == ["b/3.png", "a/1.png", "a/2.png", "t.txt"]
    assert source.repeated == 5
    assert "files that several sources contain, each scored once: 5" in describe(source)
    # Nothing is repeated in sources of other folders, also if a name begins with another one.
    write(tmp_path, "ab/1.png")
    assert listed(tmp_path, f"{folder}/a", f"{folder}/ab")[0].repeated == 0


def test_source_names_the_skipped_files_of_a_folder_without_images(tmp_path: Path) -> None:
    folder = write(tmp_path, "a.json", "b.txt")
    with pytest.raises(RecipeError, match=r"found no images, .*; skipped files: 1 .json, 1 .txt"):
        listed(tmp_path, folder)


@pytest.mark.parametrize("name", ["t.parquet", "t.pq", "t.csv", "t.json"])
def test_source_refuses_a_table_that_is_a_pipe(tmp_path: Path, name: str) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir()
    os.mkfifo(path)
    folders = () if name == "t.json" else (path.parent,)  # only a given file is a JSON table
    for argument in (path, *folders):
        with pytest.raises(RecipeError, match=rf"{name}: the path is a pipe or a device"):
            listed(tmp_path, str(argument))


def test_source_does_not_contain_the_output_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path, "1.parquet", "out/part-00000.parquet", "output/2.parquet")
    names = tmp_path / "in" / "out" / "_names"
    monkeypatch.chdir(folder)
    for argument in (folder, ".", "**/*.parquet"):
        source = list_pictures([argument], names, image_column=None, max_bytes=1000)
        assert [Path(each.table or "").name for each in source.segments] == [
            "1.parquet",
            "2.parquet",
        ]
        assert not source.skipped


@pytest.mark.parametrize("linked", ["source", "output"])
def test_source_does_not_contain_the_output_that_another_path_reaches(
    tmp_path: Path, linked: str
) -> None:
    folder = write(tmp_path, "1.parquet", "out/part-00000.parquet")
    (tmp_path / "link").symlink_to(folder)
    given, output = {"source": ("link", "in"), "output": ("in", "link")}[linked]
    names = tmp_path / output / "out" / "_names"
    for argument in (tmp_path / given, tmp_path / given / "**" / "*.parquet"):
        source = list_pictures([str(argument)], names, image_column=None, max_bytes=1000)
        assert [each.table for each in source.segments] == [str(tmp_path / given / "1.parquet")]


def test_source_of_a_bucket_has_the_names_as_they_are_given(
    tmp_path: Path, s3_folder: Path
) -> None:
    for name in ("a%20b/1.png", "a b/2.png", "a#1/3.png", "a/4.png", "a[1]/5.png", "a1/6.png"):
        (s3_folder / name).parent.mkdir()
        (s3_folder / name).write_bytes(b"")
    given = ("a%20b", "a b", "a#1", "a[1]", "a[1]/5.png", "a[[]1]/*", "a[1]*/*")
    found = {}
    for each in given:
        names = tmp_path / "names"
        source = list_pictures([f"{BUCKET_URL}/{each}"], names, image_column=None, max_bytes=1000)
        (segment,) = source.segments
        found[each] = [f"{segment.bucket}/{name}" for name in source.names_between(0, source.rows)]
    assert found == {
        "a%20b": [f"{BUCKET_URL}/a%20b/1.png"],
        "a b": [f"{BUCKET_URL}/a b/2.png"],
        "a#1": [f"{BUCKET_URL}/a#1/3.png"],
        **{each: [f"{BUCKET_URL}/a[1]/5.png"] for each in given[3:6]},
        "a[1]*/*": [f"{BUCKET_URL}/a1/6.png"],
    }


def test_source_names_the_object_that_the_store_cannot_read(
    tmp_path: Path, s3_folder: Path
) -> None:
    (s3_folder / "a\n.png").write_bytes(b"")
    with pytest.raises(RecipeError, match=r'"a\\n.png".* name prefixes without it$'):
        list_pictures([BUCKET_URL], tmp_path / "names", image_column=None, max_bytes=1000)


def test_source_refuses_columns_of_one_name_and_names_invalid_rows(tmp_path: Path) -> None:
    column = pa.array([b""])
    table = pa.Table.from_arrays([column, column], names=["image", "image"])
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(RecipeError, match=r"2 columns have the name 'image'"):
        listed(tmp_path, str(tmp_path / "t.parquet"))
    (tmp_path / "t.jsonl").write_text('{\n{"image": "a.png"}\n')
    with pytest.raises(RecipeError, match=r"invalid rows: 1, .*\n *row 0: "):
        listed(tmp_path, str(tmp_path / "t.jsonl"))
