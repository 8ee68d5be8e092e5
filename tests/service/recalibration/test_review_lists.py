"""`oodguard calibrate` reads the review list of samples, which a person has edited."""

import json
from pathlib import Path

import pytest

from oodguard.models.bundle import open_bundle
from tests.service.recalibration.calibrate import message, run
from tests.service.sampling.records import record


def test_calibrate_reads_a_review_list_of_samples(
    bundle_folder: Path, pictures: Path, out: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    for number, path in enumerate(sorted(pictures.rglob("*.png"))):
        stem = f"20260501T120000.{number:06}Z-r{number}-0"
        decision = "reject" if number < 10 else "accept"
        content = record(number, label="=1+1", decision=decision)
        (store / f"{stem}.png").write_bytes(path.read_bytes())
        (store / f"{stem}.json").write_text(json.dumps(content))
    table = tmp_path / "review.csv"
    result = run("samples", "review", table, "--from", store)
    assert result.exit_code == 0, result.output
    images = tmp_path / "review-images"
    assert images.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (table, *images.iterdir())} == {0o600}
    head, *lines = table.read_text().splitlines()
    assert head.startswith("image,keep,label,predicted,decision")
    assert lines[0].startswith("review-images/20260501T120000.000089Z-r89-0.png,yes,,'=1+1,accept")
    undecided = run("calibrate", bundle_folder, "--data", table, "--out", out)
    assert "10 of 90 rows are not decided, expected keep 'yes' or 'no'" in undecided.stderr
    assert (undecided.stderr.count("keep is ''"), "and 5 more" in undecided.stderr) == (5, True)
    # A person keeps half of the rejected images, and labels all.
    edited = [
        line.replace(",,,", ",yes,red,", 1) if at % 2 else line.replace(",,,", ",no,red,", 1)
        for at, line in enumerate(lines)
        if line
    ]
    table.write_text("\n".join([head, *edited]).replace(",yes,,", ",Yes,red,"))
    for path in store.iterdir():
        path.unlink()  # retention does not concern the copies
    result = run("calibrate", bundle_folder, "--data", table, "--out", out, "--images", "9")
    assert "found 9 images, expected at least 59" in result.stderr
    result = run("calibrate", bundle_folder, "--data", table, "--out", out, "--group", "request")
    assert "has 1 image, expected groups of near-duplicates" in result.stderr
    result = run("calibrate", bundle_folder, "--data", table, "--out", out)
    assert result.exit_code == 0, result.output
    largest = [line.split() for line in result.stdout.splitlines() if "review-images" in line]
    assert {path.rpartition("/")[0] for _, path in largest} == {str(images)}  # each path once
    found = open_bundle(out)
    assert found.manifest.calibration is not None
    assert (found.manifest.calibration.images, found.manifest.calibration.dropped) == (85, 5)
    assert found.rows.labels is not None
    assert set(found.rows.labels.tolist()) == {0}
    assert "exists, expected a new file" in run("samples", "review", table, "--from", store).stderr


def review(folder: Path, *, head: str = "image,keep,label,request", **changes: str) -> Path:
    """Write a review list that drops every tenth picture."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    rows = [
        f"{name},{'yes' if number % 10 else 'no'},,r{number // 2}"
        for number, name in enumerate(names)
    ]
    text = "\n".join([head, *rows, ""])
    for old, new in changes.items():
        text = text.replace({"comma": ","}.get(old, old), new)
    path = folder / "review.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("head", "comma"),
    [
        ("image,keep,label,request", ";"),
        ("image,keep,label,request", "\t"),
        ("Image,KEEP,label,request", ","),
        (' image,"keep" ,label,request', ","),
    ],
)
def test_calibrate_leaves_out_what_a_person_dropped_in_any_form_of_the_list(
    bundle_folder: Path, pictures: Path, out: Path, head: str, comma: str
) -> None:
    data = review(pictures, head=head, comma=comma)
    result = run("calibrate", bundle_folder, "--data", data, "--out", out)
    assert result.exit_code == 0, result.output
    record = open_bundle(out).manifest.calibration
    assert record is not None
    assert (record.images, record.dropped) == (81, 9)


def test_calibrate_refuses_a_review_list_of_another_format(
    bundle_folder: Path, pictures: Path, out: Path
) -> None:
    data = pictures / "review.jsonl"
    data.write_text('{"image": "red/film0/0.png", "Keep": "no"}\n')
    text = message(run("calibrate", bundle_folder, "--data", data, "--out", out))
    assert "a table with the column 'Keep', expected a review list as a CSV file" in text


@pytest.mark.parametrize(
    ("row", "options", "expected"),
    [
        ("red/film0/3.png,no,,r9", (), "1 images have rows with keep 'yes' and with 'no'"),
        (
            "red/film0/9.png,yes,,",
            ("--group", "request"),
            "images without a group: 1 of 82, expected a group",
        ),
    ],
)
def test_calibrate_refuses_contradictory_rows_of_a_review_list(  # noqa: PLR0913
    bundle_folder: Path,
    pictures: Path,
    out: Path,
    row: str,
    options: tuple[str, ...],
    expected: str,
) -> None:
    data = review(pictures)
    data.write_text(f"{data.read_text()}{row}\n")
    arguments = ("--data", data, "--out", out, *options)
    assert expected in message(run("calibrate", bundle_folder, *arguments))
