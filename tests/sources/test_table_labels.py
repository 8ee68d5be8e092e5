"""Labels of tables: text or numbers of one kind, and invalid ones named by their row."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oodguard.models.errors import RecipeError
from oodguard.sources.reader import list_source
from oodguard.sources.source import Source
from tests.sources.picture_files import (
    contents,
    encoded,
    picture_paths,
)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([10, 2, 10, 0], ["10", "2", "10", "0"]),
        ([10.0, 2.0, np.nan, 0.0], ["10", "2", None, "0"]),
        ([1, -1, 0, 0], ["1", None, "0", "0"]),
        (["b", None, "", "a"], ["b", None, None, "a"]),
        ([True, False, True, True], ["True", "False", "True", "True"]),
        ([b"b", b"a", b"b", b"b"], ["b", "a", "b", "b"]),
    ],
    ids=["numbers", "missing", "minus one", "text", "boolean", "bytes"],
)
def test_labels_of_a_table_are_text_or_numbers(
    tmp_path: Path, labels: list[object], expected: list[str | None]
) -> None:
    table = pa.table({"image": [encoded(n) for n in range(4)], "label": labels})
    pq.write_table(table, tmp_path / "t.parquet")
    source = Source(table=tmp_path / "t.parquet")
    assert contents(source, labelled=False) == dict(enumerate(expected))
    missing = [f"  row {row}: has no label" for row, each in enumerate(expected) if each is None]
    if missing:
        with pytest.raises(RecipeError) as caught:
            contents(source)
        assert str(caught.value).splitlines()[1:-1] == missing


def test_invalid_labels_are_named_by_row(tmp_path: Path) -> None:
    table = pa.table({"image": [encoded(0)] * 3, "label": [0.5, 1.0, float("inf")]})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(
        RecipeError, match=r"(?s)invalid labels: 2 of 3.*row 0: .* 0\.5\n  row 2: .* inf"
    ):
        list_source(Source(table=tmp_path / "t.parquet"), labelled=True)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["-1", "0", "10", "2"], {0: None, 1: "0", 2: "10", 3: "2"}),
        (["0.0", "", "11.0", "2.0"], {0: "0", 1: None, 2: "11", 3: "2"}),
        (["007", "-1.0", "cat", "2.0"], {0: "007", 1: None, 2: "cat", 3: "2.0"}),
    ],
)
def test_labels_of_a_csv_file_may_be_numbers(
    tmp_path: Path, labels: list[str], expected: dict[int, str | None]
) -> None:
    lines = [f"{path},{label}" for path, label in zip(picture_paths(tmp_path), labels, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["image,label", *lines]), encoding="utf-8")
    source = Source(table=tmp_path / "t.csv")
    assert contents(source, labelled=False) == expected
    if labels[1] == "":
        assert list_source(source, labelled=False).classes == ("0", "2", "11")


def test_labels_of_two_kinds_are_refused(tmp_path: Path) -> None:
    for name, labels in (("a", ["1", "2"]), ("b", [0, 1])):
        table = pa.table({"image": [encoded(0), encoded(1)], "label": labels})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    with pytest.raises(
        RecipeError, match=r"labels are numbers \(row 2\), text \(row 0\), expected"
    ):
        list_source(Source(table=tmp_path), labelled=True)


@pytest.mark.parametrize("label", [10**13, 2**63 + 5])
def test_label_far_out_of_range_is_invalid_and_costs_no_memory(tmp_path: Path, label: int) -> None:
    features = {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    table = pa.table({"image": [encoded(0)], "label": pa.array([label], pa.uint64())})
    info = json.dumps({"info": {"features": features}})
    pq.write_table(table.replace_schema_metadata({"huggingface": info}), tmp_path / "t.parquet")
    with pytest.raises(RecipeError, match=r"row 0: label [0-9]+"):
        list_source(Source(table=tmp_path / "t.parquet"), labelled=True)
    outliers = list_source(Source(table=tmp_path / "t.parquet"), labelled=False)
    assert outliers.counts == {"cat": 0, "dog": 0}


@pytest.mark.parametrize("names", [["cat", "cat"], ["", "cat"]])
def test_declared_classes_are_different_texts(tmp_path: Path, names: list[str]) -> None:
    features = {"label": {"_type": "ClassLabel", "names": names}}
    table = pa.table({"image": [encoded(0), encoded(1)], "label": [0, 1]})
    info = json.dumps({"info": {"features": features}})
    pq.write_table(table.replace_schema_metadata({"huggingface": info}), tmp_path / "t.parquet")
    with pytest.raises(RecipeError, match="are not a list of different texts"):
        list_source(Source(table=tmp_path / "t.parquet"), labelled=True)
