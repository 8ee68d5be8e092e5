import base64
import csv
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import Result

from oodguard.command_line.exit_codes import ExitCode
from oodguard.models.bundle import open_bundle
from oodguard.service.scoring import command
from tests.service.scoring.conftest import Rows, Score, run_score, write_photos
from tests.service.tiny import write_tiny

Verdicts = Callable[[], Rows]


@dataclass(frozen=True)
class Scored:
    """A folder that was scored."""

    photos: Path
    bundle: Path
    out: Path
    result: Result


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    folder = tmp_path_factory.mktemp("scored")
    photos = write_photos(folder / "photos")
    write_tiny(folder / "tiny")
    result = run_score(folder / "tiny", folder / "verdicts", photos, "--json")
    assert result.exit_code == 0, result.output
    return Scored(photos, folder / "tiny", folder / "verdicts", result)


def names(rows: Rows) -> list[str]:
    return [Path(row["file"]).name for row in rows]


def test_score_writes_a_row_for_every_picture_of_a_folder(scored: Scored) -> None:
    rows = pq.read_table(scored.out).to_pylist()
    assert names(rows) == ["<script>.jpg", "red.png", "blue.png", "damaged.png"]
    assert rows[1]["file"] == str(scored.photos / "a" / "red.png")
    assert [row["row"] for row in rows] == [None] * 4
    assert [row["label"] for row in rows] == ["red", "red", "blue", None]
    assert [row["score_brightness"] for row in rows] == [255, 8, 85, None]
    assert [row["decision"] for row in rows] == ["reject", "accept", "accept", None]
    # (1 + #{1..250 >= score}) / 251.
    assert [row["p_value"] for row in rows] == [1 / 251, 244 / 251, 167 / 251, None]
    assert [row["reasons"] for row in rows] == [["unlike_classes"], [], [], []]
    assert rows[3]["error"] == "the 4 bytes are not an image, expected a JPEG, PNG or WebP"
    assert rows[3]["class_id"] is None
    assert "4 images" in scored.result.stderr
    assert "skipped files: 1 .txt" in scored.result.stderr


def test_score_summary_counts_rejections_and_errors(scored: Scored) -> None:
    summary = json.loads(scored.result.stdout)
    assert summary == json.loads((scored.out / "_summary.json").read_bytes())
    assert (summary["images"], summary["scored"], summary["rejected"]) == (4, 3, 1)
    assert summary["by_class"] == {
        "blue": {"images": 1, "rejected": 0},
        "red": {"images": 2, "rejected": 1},
    }
    assert summary["by_reason"] == {"unlike_classes": 1}
    assert summary["errors"] == {"the N bytes are not an image, expected a JPEG, PNG or WebP": 1}
    assert names(summary["worst"]) == ["<script>.jpg"]
    assert summary["model"]["name"] == "tiny"
    # All calibration scores are below 255, and two of three images are.
    assert summary["drift"]["images"] == 3
    assert summary["drift"]["distance"] == pytest.approx(1 / 3)


def test_score_metadata_and_rows_are_read_by_pyarrow_and_datasets(
    scored: Scored, tmp_path: Path
) -> None:
    facts = json.loads(pq.read_schema(scored.out / "part-00000.parquet").metadata[b"oodguard"])
    assert facts["model"] == {
        "name": "tiny",
        "version": "1",
        "sha256": open_bundle(scored.bundle).sha256,
    }
    assert facts["policy"]["score"] == "brightness"
    assert facts["policy"]["alpha"] == 0.05
    assert (facts["rows"], facts["rejected"], facts["errors"]) == (4, 1, 1)
    read = datasets.load_dataset(
        "parquet", data_files=f"{scored.out}/*.parquet", split="train", cache_dir=str(tmp_path)
    )
    assert read["decision"][:] == ["reject", "accept", "accept", None]


def test_score_contact_sheet_has_the_pictures_and_escapes_names(scored: Scored) -> None:
    page = (scored.out / "_worst.html").read_text()
    assert "&lt;script&gt;.jpg" in page
    assert "<script" not in page
    (picture,) = page.split('src="data:image/jpeg;base64,')[1:]
    assert base64.b64decode(picture.partition('"')[0]).startswith(b"\xff\xd8\xff")


def test_score_of_a_complete_run_prints_the_same_summary(scored: Scored) -> None:
    again = run_score(scored.bundle, scored.out, scored.photos, "--json")
    before, now = (json.loads(each.stdout) for each in (scored.result, again))
    assert now == before  # also the speed, although nothing was scored
    assert now["images_per_second"] > 0


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (["--fdr", "0.1"], {}, "the false-discovery rate none, received 0.1"),
        ([], {"OODGUARD_ALPHA": "0.1"}, "the policy score brightness, alpha 0.05, delta 0.05,"),
        (["more"], {}, "the source {photos}, received {photos} {more}"),
        ([], {"OODGUARD_MAX_PIXELS": "99"}, "the limits of 25,000,000 pixels"),
        (["changed"], {}, "the files of the source "),
        (["bundle"], {}, "the model tiny 1 (sha256 "),
    ],
)
def test_score_refuses_to_continue_another_run(  # noqa: PLR0913 - fixtures and cases
    scored: Scored,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    variables: dict[str, str],
    message: str,
) -> None:
    bundle, photos = scored.bundle, scored.photos
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    more = write_photos(tmp_path / "more")
    blue = photos / "b" / "blue.png"
    changed_ns = blue.stat().st_mtime_ns
    if arguments == ["changed"]:
        os.utime(blue)
    if arguments == ["bundle"]:
        bundle = tmp_path / "bundle"
        write_tiny(bundle, version="2")
    given = {"changed": [], "bundle": [], "more": [more]}.get("".join(arguments), arguments)
    result = run_score(bundle, scored.out, photos, *given)
    os.utime(blue, ns=(changed_ns, changed_ns))
    assert result.exit_code == 1
    assert message.format(photos=photos, more=more) in result.stderr.splitlines()[-1]
    assert "or another --out" in result.stderr


def test_score_reads_tables_of_bytes_and_of_paths_patterns_and_given_files(
    score: Score, verdicts: Verdicts, photos: Path, tmp_path: Path
) -> None:
    red, white = photos / "a" / "red.png", photos / "a" / "<script>.jpg"
    encoded = [{"bytes": white.read_bytes(), "path": None}, {"bytes": None, "path": str(red)}, None]
    parquet, paths = tmp_path / "t.parquet", photos / "paths.csv"
    pq.write_table(pa.table({"image": encoded, "label": [1, 2, 3]}), parquet, row_group_size=1)
    with paths.open("w") as file:
        csv.writer(file).writerows([["id", "path"], [1, "a/red.png"], [2, "none.png"], [3, ""]])
    result = score(parquet, paths, f"{photos}/**/*.png", photos / "b" / "notes.txt")
    assert result.exit_code == 0, result.output
    rows = verdicts()
    assert [(Path(row["file"]).name, row["row"], row["label"]) for row in rows] == [
        *(("t.parquet", 0, "red"), ("t.parquet", 1, "red"), ("t.parquet", 2, None)),
        *(("paths.csv", 0, "red"), ("paths.csv", 1, None), ("paths.csv", 2, None)),
        *(("red.png", None, "red"), ("blue.png", None, "blue")),
        *(("damaged.png", None, None), ("notes.txt", None, None)),
    ]
    assert [row["error"] for row in rows][4:6] == [
        "the file cannot be read: No such file or directory",
        "the row has no image",
    ]


def test_score_reads_objects_and_tables_of_a_bucket(
    score: Score, verdicts: Verdicts, photos: Path, s3_folder: Path
) -> None:
    (s3_folder / "in" / "b").mkdir(parents=True)
    for name in ("a.jpg", "b/c.jpg", "notes.txt"):
        (s3_folder / "in" / name).write_bytes((photos / "a" / "<script>.jpg").read_bytes())
    table = pa.table({"image": [(photos / "a" / "red.png").read_bytes()] * 300})
    pq.write_table(table, s3_folder / "t.parquet", row_group_size=100)
    result = score("s3://samples/in/*/c.jpg", "s3://samples/t.parquet", "s3://samples/in/")
    assert result.exit_code == 0, result.output
    assert "files that several sources contain, each scored once: 1" in result.stderr
    rows = verdicts()
    assert [row["file"] for row in (*rows[:2], *rows[-2:])] == [
        "s3://samples/in/b/c.jpg",
        "s3://samples/t.parquet",
        "s3://samples/t.parquet",
        "s3://samples/in/a.jpg",
    ]
    assert [row["row"] for row in rows[1:-1]] == list(range(300))
    assert {row["label"] for row in rows} == {"red"}


def test_score_reads_text_tables_of_a_bucket(
    score: Score, verdicts: Verdicts, photos: Path, s3_folder: Path
) -> None:
    for name in ("p/a.png", "q/b.png"):
        (s3_folder / name).parent.mkdir(parents=True)
        (s3_folder / name).write_bytes((photos / "b" / "blue.png").read_bytes())
    (s3_folder / "p" / "t.csv").write_text(
        "path\na.png\n../q/b.png\ns3://samples/q/b.png\ns3://other/c.png\n/p/none.png\n"
    )
    (s3_folder / "q" / "t.json").write_text('[{"image": "b.png"}, {"image": null}]')
    (s3_folder / "r").mkdir()
    (s3_folder / "r" / "t.jsonl").write_text('{"image": "/q/b.png"}')
    # A table next to pictures is skipped, as in a folder.
    result = score(*(f"s3://samples/{each}" for each in ("p/t.csv", "q/t.json", "r", "p")))
    assert result.exit_code == 0, result.output
    assert "skipped files: 1 .csv" in result.stderr
    csv_table, json_table = "s3://samples/p/t.csv", "s3://samples/q/t.json"
    assert [(row["file"], row["row"], row["label"], row["error"]) for row in verdicts()] == [
        *((csv_table, row, "blue", None) for row in range(3)),
        (csv_table, 3, None, "the object is in another bucket, expected one of s3://samples"),
        (csv_table, 4, None, "the object does not exist"),
        (json_table, 0, "blue", None),
        (json_table, 1, None, "the row has no image"),
        ("s3://samples/r/t.jsonl", 0, "blue", None),
        ("s3://samples/p/a.png", None, "blue", None),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "missing: cannot read the data: the path does not exist"),
        (["missing/*.png"], "missing/*.png: found no files, expected at least 1"),
        (["s3:///a"], "s3:///a: expected s3://BUCKET or s3://BUCKET/PREFIX"),
        (["long.csv"], "long.csv: cannot read the data: field larger than field limit (131072)"),
        ([".", "--fdr", "0.001"], "--fdr is 0.001, expected at least 1 / 251"),
    ],
)
def test_score_states_an_invalid_source_in_one_line(
    score: Score,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "long.csv").write_text("path\n" + "a" * 200_000)
    result = score(*arguments)
    assert result.exit_code in {ExitCode.INVALID, ExitCode.USAGE, ExitCode.REFUSED}
    (line,) = result.stderr.splitlines()
    assert not (tmp_path / "verdicts").exists()
    assert line.startswith(f"oodguard: {message}")


def test_score_refuses_a_folder_of_other_files(score: Score, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "verdicts").mkdir()
    (tmp_path / "verdicts" / "mine.txt").write_text("")
    result = score(photos)
    assert "has other files, such as mine.txt, and no _plan.json" in result.stderr
    assert result.exit_code == 1


def test_score_that_is_interrupted_states_how_to_continue(
    score: Score, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command, "score_parts", interrupt)
        result = score(photos)
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == (
        "oodguard: interrupted. Run the same command again to continue"
    )
