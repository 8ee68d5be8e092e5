"""Tables as pandas, pyarrow and spreadsheets write them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oodguard.models.errors import RecipeError
from oodguard.sources.reader import list_source, source_at
from oodguard.sources.source import Source
from oodguard.training.data import cache
from oodguard.training.data.card import content_sha256
from oodguard.training.data.dataset import load
from tests.sources.picture_files import (
    CLASSES,
    EXPECTED,
    SPEC,
    contents,
    encoded,
    picture_paths,
    write,
)


@pytest.mark.parametrize("kind", ["bytes", "struct", "struct of paths", "path", "large binary"])
@pytest.mark.parametrize("label", ["text", "category"])
def test_parquet_table_of_pandas_is_read(tmp_path: Path, kind: str, label: str) -> None:
    paths = picture_paths(tmp_path)
    data = [encoded(n) for n in range(4)]
    values = {
        "bytes": data,
        "struct": [{"bytes": each, "path": None} for each in data],
        "struct of paths": [{"bytes": None, "path": each} for each in paths],
        "path": paths,
        "large binary": pd.array(data, dtype=pd.ArrowDtype(pa.large_binary())),
    }[kind]
    labels = pd.Series(CLASSES, dtype="category" if label == "category" else None)
    frame = pd.DataFrame({"id": range(4), "image": values, "label": labels})
    frame.to_parquet(tmp_path / "t.parquet")
    assert contents(Source(table=tmp_path / "t.parquet")) == EXPECTED
    assert contents(Source(parquet=tmp_path / "t.parquet", only=("cat",))) == {0: "cat", 2: "cat"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_table_of_paths_and_labels_is_read(tmp_path: Path, delimiter: str) -> None:
    rows = [f'"{path}"{delimiter}{name}' for path, name in zip(picture_paths(tmp_path), CLASSES)]  # noqa: B905
    text = "\n".join([f"File{delimiter}Label", *rows, ""])
    (tmp_path / "t.csv").write_text(text, encoding="utf-8-sig")
    assert contents(Source(table=tmp_path / "t.csv")) == EXPECTED


def test_json_lines_of_paths_and_labels_are_read(tmp_path: Path) -> None:
    rows = [{"path": path, "label": n % 2} for n, path in enumerate(picture_paths(tmp_path))]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")
    assert contents(Source(table=tmp_path / "rows.jsonl")) == {0: "0", 1: "1", 2: "0", 3: "1"}


def test_bytes_that_are_not_utf_8_in_a_path_of_a_csv_are_read(tmp_path: Path) -> None:
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    write(tmp_path / name, 7)
    (tmp_path / "t.csv").write_bytes(b"file,label\ncaf\xe9.png,caf\xe9\n")
    assert contents(Source(table=tmp_path / "t.csv")) == {7: "caf\\udce9"}


def test_invalid_rows_are_named_all_at_once(tmp_path: Path) -> None:
    write(tmp_path / "a.png", 5)
    (tmp_path / "t.csv").write_text("file,label\na.png,x\nb.png,y\n,x\na.png,y\n", encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        list_source(Source(table=tmp_path / "t.csv"), labelled=True)
    lines = str(caught.value).splitlines()
    assert "missing images: 2 of 4" in lines[0]
    assert lines[1:3] == [f"  row 1: {tmp_path}/b.png does not exist", "  row 2: the path is empty"]
    source = Source(table=tmp_path / "t.csv", skip_broken=True)
    assert contents(source) == {5: "y"}
    (tmp_path / "u.csv").write_text("file,label\na.png\na.png,x\na.png,x,y\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"(?s)rows: 2.*row 0: has 1 cell\n  row 2: has 3 cells"):
        list_source(Source(table=tmp_path / "u.csv"), labelled=True)
    (tmp_path / "v.jsonl").write_text('{"file": "a.png"}\n{\n[1]\n', encoding="utf-8")
    with pytest.raises(RecipeError, match=r"(?s)rows: 2.*row 1: .*\n  row 2: is not an object"):
        list_source(Source(table=tmp_path / "v.jsonl"), labelled=False)


def test_broken_images_of_a_table_are_named_by_row(tmp_path: Path) -> None:
    data = [encoded(0), b"", None, encoded(3)]
    pq.write_table(pa.table({"image": data, "label": [0, 1, 0, 1]}), tmp_path / "t.parquet")
    with pytest.raises(RecipeError, match=r"(?s)2 of 4.*row 1: .*\n  row 2: the row has no image"):
        contents(Source(table=tmp_path / "t.parquet"))
    assert contents(Source(table=tmp_path / "t.parquet", skip_broken=True)) == {0: "0", 3: "1"}


def test_several_tables_are_one_source_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard in (1, 0):
        numbers = [2 * shard, 2 * shard + 1]
        labels = [CLASSES[n] for n in numbers]
        table = pa.table({"image": [encoded(n) for n in numbers], "label": labels})
        pq.write_table(table, folder / f"part-{shard}.parquet")
    both = tuple(folder / f"part-{shard}.parquet" for shard in range(2))
    for source in (Source(table=folder), Source(table=both), source_at(folder)):
        assert list(contents(source).items()) == list(EXPECTED.items())
    assert list(contents(Source(table=folder, only=("cat", "emu")))) == [0, 2, 3]
    (folder / "part-1.parquet").write_bytes(b"no table")
    with pytest.raises(RecipeError, match=r"part-1\.parquet: "):
        list_source(Source(table=folder), labelled=True)


def test_folder_with_the_tables_of_several_splits_is_refused(tmp_path: Path) -> None:
    for name in ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet"):
        pq.write_table(pa.table({"image": [encoded(0)]}), tmp_path / name)
    with pytest.raises(RecipeError, match=r"contains the splits test, train, .* table = \["):
        list_source(Source(table=tmp_path), labelled=False)


def test_columns_are_named_by_the_recipe_where_they_cannot_be_found(tmp_path: Path) -> None:
    table = pa.table({"front": [encoded(1)], "back": [encoded(2)], "breed": ["pug"]})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(RecipeError, match=r"columns \['front', 'back', 'breed'\], expected one of"):
        list_source(Source(table=tmp_path / "t.parquet"), labelled=True)
    source = Source(table=tmp_path / "t.parquet", image_column="back", label_column="breed")
    assert contents(source) == {2: "pug"}
    with pytest.raises(RecipeError, match="label_column is 'bread', expected one of the columns"):
        list_source(source.model_copy(update={"label_column": "bread"}), labelled=True)


def test_content_hash_depends_on_images_and_classes_only(tmp_path: Path) -> None:
    def digest(name: str, data: list[bytes], labels: list[str]) -> str:
        pq.write_table(pa.table({"image": data, "label": labels}), tmp_path / name)
        return content_sha256(list_source(Source(table=tmp_path / name), labelled=True))

    one, two = encoded(1), encoded(2)
    base = digest("a.parquet", [one, two], ["x", "y"])
    assert digest("b.parquet", [one, two], ["x", "y"]) == base
    assert digest("c.parquet", [one, two], ["y", "x"]) != base
    assert digest("d.parquet", [two, one], ["x", "y"]) != base


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("skip_broken", [False, True])
def test_damaged_page_of_a_parquet_table_is_an_error(
    tmp_path: Path, column: int, *, skip_broken: bool
) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table({"image": [encoded(n) for n in range(99)], "label": ["a", "b", "c"] * 33})
    pq.write_table(table, path, use_dictionary=False)
    content = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(0).column(column).data_page_offset
    content[start : start + 8] = bytes(255 - each for each in content[start : start + 8])
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"t\.parquet: cannot read the data: "):
        contents(Source(table=path, skip_broken=skip_broken))


@pytest.mark.parametrize("name", ["image", "label"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.csv").write_text(f"image,label,{name}\na.png,b,c\n", encoding="utf-8")
    columns = [[encoded(0)], ["a"], [encoded(0)]]
    table = pa.Table.from_arrays(list(map(pa.array, columns)), names=["image", "label", name])
    pq.write_table(table, tmp_path / "t.parquet")
    for path in (tmp_path / "t.csv", tmp_path / "t.parquet"):
        with pytest.raises(RecipeError, match=f"{path}: 2 columns have the name '{name}'"):
            list_source(Source(table=path), labelled=True)


@pytest.mark.parametrize(
    "metadata",
    [
        *("{", "[]", "5", "null", '{"info": []}', '{"info": {"features": [1]}}', b"\xff\xfe{"),
        '{"info": {"features": {"label": {"_type": "ClassLabel", "names": 5}}}}',
        '{"info": {"features": {"label": {"_type": "ClassLabel", "names": {"a": 1}}}}}',
        "[" * 100_000,
    ],
    ids=lambda each: repr(each[:70]),
)
def test_invalid_metadata_of_a_table_is_an_error(tmp_path: Path, metadata: str | bytes) -> None:
    table = pa.table({"image": [encoded(0)], "label": [0]})
    pq.write_table(table.replace_schema_metadata({"huggingface": metadata}), tmp_path / "t.parquet")
    with pytest.raises(RecipeError, match=r"t\.parquet: the .* metadata"):
        list_source(Source(table=tmp_path / "t.parquet"), labelled=True)


@pytest.mark.parametrize("path", ["a\0b.png", "\ud800.png", "x" * 300], ids=["NUL", "half", "long"])
def test_path_that_no_file_can_have_is_a_broken_image(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    good = write(tmp_path / "0.png", 0).name
    lines = [json.dumps({"image": each, "label": "a"}) for each in (good, path)]
    (tmp_path / "t.jsonl").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"missing images: 1 of 2(.|\n)*row 1: "):
        contents(Source(table=tmp_path / "t.jsonl"))
    source = Source(table=tmp_path / "t.jsonl", skip_broken=True)
    for limit in (cache.LARGE, 0):
        monkeypatch.setattr(cache, "LARGE", limit)
        assert len(load(source, SPEC)) == 1
    assert len(content_sha256(list_source(source, labelled=True))) == 64


def test_values_that_exceed_limits_of_the_parsers_are_named(tmp_path: Path) -> None:
    lines = ['{"image": "0.png", "label": %s}' % ("1" * 5000), "{}", "[" * 100_000]
    (tmp_path / "t.jsonl").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"invalid rows: 2, (.|\n)*row 0: (.|\n)*row 2: "):
        list_source(Source(table=tmp_path / "t.jsonl"), labelled=True)
    paths = picture_paths(tmp_path)
    text = f"image,label\n{paths[0]},{'1' * 5000}\n{paths[1]},2\n"
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match="the column 'label' has a text of 5,000 bytes"):
        list_source(Source(table=tmp_path / "t.csv"), labelled=True)


@pytest.mark.parametrize(
    "names",
    [
        ("signs_train.csv", "signs_test.csv"),
        ("train2017.csv", "val2017.csv"),
        ("0_trainset.csv", "1_testset.csv"),
        ("labels.csv", "test.csv"),
    ],
)
def test_tables_of_several_splits_are_refused_wherever_their_names_state_it(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    for number, name in enumerate(names):
        write(tmp_path / "pics" / f"{number}.png", number)
        (tmp_path / "t").mkdir(exist_ok=True)
        (tmp_path / "t" / name).write_text(f"image,label\n../pics/{number}.png,cat\n")
    with pytest.raises(RecipeError, match=r"contains the splits .*, expected the tables of one"):
        list_source(Source(table=tmp_path / "t"), labelled=True)
    chosen = Source(table=(tmp_path / "t" / names[0],))
    assert contents(chosen) == {0: "cat"}


@pytest.mark.parametrize("encode", [encoded, "pics/{}.png".format])
def test_categories_of_pandas_are_read_as_images(tmp_path: Path, encode: Any) -> None:
    picture_paths(tmp_path)
    images = pa.array([encode(n) for n in range(4)]).dictionary_encode()
    pq.write_table(pa.table({"image": images, "label": list(CLASSES)}), tmp_path / "t.parquet")
    assert contents(Source(table=tmp_path / "t.parquet")) == EXPECTED


def test_time_out_of_range_is_an_error(tmp_path: Path) -> None:
    table = pa.table({"image": [encoded(0)], "label": pa.array([2**62], pa.timestamp("us"))})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(RecipeError, match="cannot read the data: date value out of range"):
        list_source(Source(table=tmp_path / "t.parquet"), labelled=True)


@pytest.mark.parametrize(
    "films", [[None, "a", None], [np.nan, 1.0, np.nan], [" ", "a", ""]], ids=["null", "NaN", "text"]
)
def test_table_with_a_group_column_needs_a_group_for_each_row(
    tmp_path: Path, films: list[object]
) -> None:
    """Images without a group would be one group."""
    path = tmp_path / "table.parquet"
    pd.DataFrame({"image": [b"x", b"y", b"z"], "film": films}).to_parquet(path)
    source = Source(table=path, group="film")
    with pytest.raises(
        RecipeError, match=r"images without a group: 2 of 3, .*\n  row 0: has no group"
    ):
        list_source(source, labelled=False)
