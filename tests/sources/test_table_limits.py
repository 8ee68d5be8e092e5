"""Tables of a few kilobytes that would take all memory: rows, texts and patterns are bounded."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oodguard.models.errors import RecipeError
from oodguard.sources import groups, listing, pictures, shards, text_tables
from oodguard.sources.groups import number_groups
from oodguard.sources.reader import list_source
from oodguard.sources.shards import open_shard
from oodguard.sources.source import Source
from tests.sources.picture_files import encoded, write


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set small limits."""
    for module in (listing, text_tables):
        monkeypatch.setattr(module, "MAX_ROWS", 3)


def table(path: Path, rows: int, **columns: object) -> Path:
    values = {"image": [encoded(0)] * rows, **columns}
    pq.write_table(pa.table(values), path, row_group_size=2)
    return path


def check(path: Path | tuple[Path, ...], expected: str, group: str | None = None) -> None:
    with pytest.raises(RecipeError, match=expected):
        list_source(Source(table=path, group=group), labelled=False)


def test_table_with_too_many_rows_is_refused(tmp_path: Path) -> None:
    rows = "found at least 4 rows, expected at most 3, because all rows are listed in memory"
    check(table(tmp_path / "t.parquet", 4), f"t.parquet: {rows}")
    (tmp_path / "t.csv").write_text("image,label\n" + "a.png,1\n" * 4)
    check(tmp_path / "t.csv", f"t.csv: {rows}")
    (tmp_path / "t.jsonl").write_text('{"image": "a.png"}\n' * 4)
    check(tmp_path / "t.jsonl", f"t.jsonl: {rows}")
    together = (table(tmp_path / "a.parquet", 2), table(tmp_path / "b.parquet", 2))
    check(together, f"a.parquet, .*b.parquet: {rows}")
    listed = list_source(Source(table=table(tmp_path / "u.parquet", 3)), labelled=False)
    assert len(listed) == 3


def test_json_array_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_tables, "MAX_ARRAY", 20)
    (tmp_path / "t.json").write_text('[{"image": "a.png"}, {"image": "b.png"}]')
    check(
        tmp_path / "t.json",
        "the JSON array has more than 20 characters, expected at most as many: write",
    )


def test_parquet_text_of_many_rows_is_one_object(tmp_path: Path) -> None:
    films = ["a long film", "another one", None]
    labels = pa.array(["x", None, "x"]).dictionary_encode()
    paths = [{"bytes": None, "path": "p.png"}] * 2 + [None]
    path = table(tmp_path / "t.parquet", 3, film=films, label=labels, image=paths)
    shard = open_shard(path)
    assert shard.column("film") == films
    assert shard.column("label") == ["x", None, "x"]
    assert shard.paths("image") == ["p.png", "p.png", None]
    first, second, _ = shard.paths("image")
    assert first is second


def test_parquet_column_beyond_its_limits_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = table(tmp_path / "long.parquet", 2, film=["x" * 5000] * 2)
    check(long, "the column 'film' has a text of 5,000 bytes, expected at most 4,096", "film")
    as_bytes = table(tmp_path / "bytes.parquet", 2, film=[b"x" * 5000] * 2)
    check(as_bytes, "the column 'film' has a text of 5,000 bytes", "film")
    lists = table(tmp_path / "lists.parquet", 2, film=[[1], [2]])
    check(lists, "the column 'film' has the type list<.*>, expected text or numbers", "film")
    monkeypatch.setattr(shards, "MAX_COLUMN_BYTES", 10)
    short = table(tmp_path / "short.parquet", 2, film=["a film", "b film"])
    check(short, r"the column 'film' has \d+ bytes, expected at most 10: divide", "film")


def test_group_numbers_are_in_the_order_of_their_texts() -> None:
    values = ["b", 10, 2, "b", "a", 10, "b"]
    labels = np.array([0, 1, 1, 0, 0, 1, 1])
    # "0 a", "0 b", "1 10", "1 2", "1 b"
    assert number_groups(values, labels).tolist() == [1, 2, 3, 1, 0, 2, 4]


def test_group_pattern_that_takes_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "GROUPING_S", 0.02)
    name = f"{'a' * 60}.png"
    write(tmp_path / name, 1)
    source = Source(folder=tmp_path, group="name:^(a+)+$")
    with pytest.raises(RecipeError, match=rf"more than 0.021 s of CPU time, .* for {name}"):
        list_source(source, labelled=False)


def test_image_that_a_table_repeats_is_in_memory_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parquet stores it once; a batch of 64 rows of 100 MB took 13 GB."""
    large = encoded(0) + bytes(30_000)
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 40, pa.int32()), pa.array([large]))
    pq.write_table(pa.table({"image": values}), tmp_path / "t.parquet", row_group_size=20)
    assert (tmp_path / "t.parquet").stat().st_size < 10_000
    with pq.ParquetFile(tmp_path / "t.parquet") as file:
        assert {len(each) for each in shards.image_batches(file, "image")} == {8, 4}
        monkeypatch.setattr(shards, "BATCH_BYTES", 100_000)
        assert max(len(each) for each in shards.image_batches(file, "image", first=1)) == 3
        assert sum(len(each) for each in shards.image_batches(file, "image", first=1)) == 20
        monkeypatch.setattr(shards, "BATCH_BYTES", 1)
        assert {len(each) for each in shards.image_batches(file, "image")} == {1}
    monkeypatch.setattr(pictures, "CHUNK_BYTES", 3 * len(large))
    monkeypatch.setattr(listing, "MAX_ROWS", 40)
    rows = iter(list_source(Source(table=tmp_path / "t.parquet"), labelled=False).pictures())
    chunks = [len(pictures.next_chunk(rows)) for _ in range(15)]
    assert chunks == [3] * 13 + [1, 0]


@pytest.mark.parametrize("column", ["image", "label", "film"])
def test_text_of_a_text_table_that_is_too_long_is_refused(tmp_path: Path, column: str) -> None:
    """The error about a path of 30 MB was printed in full."""
    row = {"image": "a.png", "label": "cat", "film": "1", column: "é" * 2049}
    (tmp_path / "t.jsonl").write_text(json.dumps(row, ensure_ascii=False))
    check(
        tmp_path / "t.jsonl",
        f"the column '{column}' has a text of 4,098 bytes, expected at most 4,096",
        group="film",
    )
