import io
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oodguard.service.scoring.places import Files
from oodguard.service.scoring.reader import SourceReader
from oodguard.service.scoring.source import list_pictures

ROWS = 20_000


class CountingFile(io.FileIO):
    """A file that counts the bytes that are read."""

    count = 0

    def read(self, size: int | None = -1, /) -> Any:
        data = super().read(-1 if size is None else size)
        CountingFile.count += len(data or b"")
        return data


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SourceReader:
    """Read a table with one row group of 40 MB."""
    pictures = [number.to_bytes(2) * 1000 for number in range(ROWS)]
    table = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": pictures}), table, compression="NONE", use_dictionary=False)
    source = list_pictures([str(table)], tmp_path / "names", image_column=None, max_bytes=2**20)
    monkeypatch.setattr(Files, "open", lambda _, name: CountingFile(name))
    CountingFile.count = 0
    return SourceReader(source, 2**20)


def numbers(reader: SourceReader, start: int, stop: int) -> list[int]:
    contents = (content for _, _, content in reader.read(start, stop))
    return [int.from_bytes(each[:2]) for each in contents if isinstance(each, bytes)]


def test_reader_does_not_load_a_row_group_as_a_whole(reader: SourceReader) -> None:
    assert numbers(reader, 0, 3) == [0, 1, 2]
    assert CountingFile.count < 8 * 2**20


def test_picture_of_a_table_has_the_limit_of_files(reader: SourceReader) -> None:
    small = SourceReader(reader._source, 1999)
    (found,) = [content for _, _, content in small.read(7, 8)]
    assert "the image has more than 1999 bytes" in str(found)


def test_files_need_no_memory_for_the_largest_picture(tmp_path: Path) -> None:
    """`read(n)` allocates n bytes."""
    (tmp_path / "a.png").write_bytes(b"any bytes")
    tracemalloc.start()
    try:
        assert Files(16 * 2**20).read(str(tmp_path / "a.png")) == b"any bytes"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_reader_reads_on_and_skips_and_goes_back(reader: SourceReader) -> None:
    assert numbers(reader, 10, 100) == list(range(10, 100))
    assert numbers(reader, 100, 120) == list(range(100, 120))
    assert numbers(reader, 1500, 1502) == [1500, 1501]
    assert numbers(reader, 3, 5) == [3, 4]
    assert numbers(reader, 19_999, 20_000) == [19_999]


def test_reader_states_the_type_of_values_that_are_not_pictures(tmp_path: Path) -> None:
    table = tmp_path / "t.parquet"
    pq.write_table(pa.table({"n": [3, None], "list": [[b"picture"], None]}), table)
    errors = {}
    for column in ("n", "list"):
        names = tmp_path / "names"
        source = list_pictures([str(table)], names, image_column=column, max_bytes=9)
        errors[column] = [
            content and str(content) for _, _, content in SourceReader(source, 9).read(0, 2)
        ]
    assert errors == {
        "n": ["the value is of type int, expected encoded bytes or a path", None],
        "list": ["the value is of type list, expected encoded bytes or a path", None],
    }
