"""`oodguard calibrate`: folders, tables and review lists to a new bundle; bad input is refused."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from oodguard.models.bundle import open_bundle
from oodguard.service.cli import app
from tests.service.sampling.records import record
from tests.service.tiny import write_tiny

N = 90


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def message(result: Result) -> str:
    """Return the error of a command that failed."""
    assert result.exit_code == 1
    return result.stderr


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Write `red/film0/0.png` and so on: 90 pictures of different brightness, 3 a film."""
    folder = tmp_path / "recent"
    for number in range(N):
        label = ("red", "green", "blue")[number % 3]
        path = folder / label / f"film{number // 9}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = [number, number, number]
        colour[number % 3] += 120
        Image.new("RGB", (8, 8), tuple(colour)).save(path)
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "new"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_calibrate_writes_the_same_model_with_new_scores_and_a_record(
    bundle_folder: Path, pictures: Path, out: Path
) -> None:
    before = files(bundle_folder)
    (pictures / "notes.txt").write_text("x")
    (pictures / "red" / "copy.png").write_bytes((pictures / "red/film0/0.png").read_bytes())
    result = run("calibrate", bundle_folder, "--data", pictures, "--out", out, "--by", "Ada")
    assert result.exit_code == 0, result.output
    assert files(bundle_folder) == before
    older, newer = open_bundle(bundle_folder), open_bundle(out)
    assert newer.model == older.model
    assert newer.evaluation == older.evaluation
    assert (newer.manifest.schema_version, newer.manifest.version) == (3, "1.post1")
    found = newer.manifest.calibration
    assert found is not None
    assert (found.source, found.images, found.copies, found.labels) == ("recent", N, 1, True)
    assert (found.skipped, found.by, found.replaced) == ({".txt": 1}, "Ada", older.sha256)
    assert (found.replaced_version, found.evaluated_version) == ("1", "1")
    rows = newer.rows
    assert rows.labels is not None
    assert rows.predicted is not None
    assert (rows.labels == rows.predicted).all()
    assert sorted(rows.scores["brightness"].tolist()) == pytest.approx([40 + n for n in range(N)])
    assert len(rows.qualities["brightness"]) == N
    card = (out / "README.md").read_text()
    assert card.startswith("# tiny, version 1.post1\n\n## Calibration\n")
    assert card.endswith("---\n\n# tiny\n")
    assert "by Ada |" in card
    assert "the threshold of version 1." in card
    assert "90 images" in result.stdout
    verified = " ".join(run("verify", out).stdout.split())
    assert "90 images; " in verified
    assert "by Ada, replaces version 1; evaluated with version 1" in verified


def test_calibrate_records_few_of_many_endings_and_escapes_a_name(
    bundle_folder: Path, pictures: Path, out: Path
) -> None:
    for number in range(30):
        (pictures / f"x.e{number}").touch()
    arguments = ("calibrate", bundle_folder, "--data", pictures, "--out", out)
    assert run(*arguments, "--by", "A\x1b[2J").exit_code == 0
    found = open_bundle(out).manifest.calibration
    assert found is not None
    assert (len(found.skipped), found.skipped["others"]) == (21, 10)
    assert "\x1b" not in run("verify", out).stdout
    assert "\x1b" not in (out / "README.md").read_text()


def test_calibrate_again_keeps_the_version_that_was_evaluated(
    bundle_folder: Path, pictures: Path, out: Path, tmp_path: Path
) -> None:
    for source, target in ((bundle_folder, out), (out, tmp_path / "third")):
        assert run("calibrate", source, "--data", pictures, "--out", target).exit_code == 0
    manifest = open_bundle(tmp_path / "third").manifest
    assert manifest.version == "1.post2"
    assert manifest.calibration is not None
    assert manifest.calibration.replaced == open_bundle(out).sha256
    assert manifest.calibration.evaluated_version == "1"


def test_calibrate_reads_a_table_with_its_groups(
    bundle_folder: Path, pictures: Path, out: Path
) -> None:
    names = sorted(path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png"))
    rows = [f"{name},{name.split('/')[0]},{name.split('/')[1]}" for name in names]
    (pictures / "table.csv").write_text("\n".join(["image,label,film", *rows]))
    for data, group in ((pictures / "table.csv", "film"), (pictures, "folder")):
        target = out / group
        arguments = ("--data", data, "--out", target, "--group", group, "--no-labels")
        result = CliRunner(env={"OODGUARD_DELTA": "none"}).invoke(
            app, [*map(str, ("calibrate", bundle_folder, *arguments))]
        )
        assert result.exit_code == 0, result.output
        found = open_bundle(target).manifest.calibration
        assert found is not None
        assert (found.groups, found.labels) == (30, False)


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
    head, *lines = table.read_text().splitlines()
    assert head.startswith("image,keep,label,predicted,decision")
    assert lines[0].startswith("review-images/20260501T120000.000089Z-r89-0.png,yes,,'=1+1,accept")
    undecided = run("calibrate", bundle_folder, "--data", table, "--out", out)
    assert "10 of 90 rows are not decided, expected keep 'yes' or 'no'" in undecided.stderr
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
    found = open_bundle(out)
    assert found.manifest.calibration is not None
    assert (found.manifest.calibration.images, found.manifest.calibration.dropped) == (85, 5)
    assert found.rows.labels is not None
    assert set(found.rows.labels.tolist()) == {0}
    assert "exists, expected a new file" in run("samples", "review", table, "--from", store).stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ("--images", "58"),
            "found 58 images, expected at least 59 for alpha 0.05 with delta 0.05",
        ),
        (("--group", "folder"), "30 calibration groups are too few"),
        (("--group", "name:red|green|blue"), "3 calibration groups are too few for alpha 0.05"),
        (("--group", "name:^"), "have no group, expected one for each"),
        (("--group", r"name:(\d+)\.png"), "each of the 90 groups has 1 image, expected groups of"),
        (("--version", "1"), "--version is '1', expected one that is newer than '1'"),
        (("--version", "2rc1", "--images", "1"), "found 1 images"),
        (("--version", "a b"), "--version is 'a b', expected 1 to 32 letters, digits"),
        (("--version", "2+local"), "expected 1 to 32 letters, digits"),
        (("--label-column", "x", "--group", "x"), "group is 'x', expected 'folder'"),
    ],
)
def test_calibrate_refuses_bad_options_and_writes_nothing(
    bundle_folder: Path, pictures: Path, out: Path, options: tuple[str, ...], expected: str
) -> None:
    before = files(bundle_folder)
    result = run("calibrate", bundle_folder, "--data", pictures, "--out", out, *options)
    assert expected in message(result)
    assert not out.exists()
    assert not [path for path in out.parent.iterdir() if path.name.startswith(".new")]
    assert files(bundle_folder) == before


def test_calibrate_refuses_unknown_classes_and_constant_images(
    bundle_folder: Path, pictures: Path, out: Path
) -> None:
    def refused() -> str:
        return message(run("calibrate", bundle_folder, "--data", pictures, "--out", out))

    grey = Image.new("RGB", (8, 8), (9, 9, 10))
    (pictures / "mauve").mkdir()
    grey.save(pictures / "mauve" / "a.png")
    assert "unknown classes mauve, expected those of the classifier: red, green, blue" in refused()
    assert "--no-labels" in refused()
    (pictures / "mauve" / "a.png").unlink()
    for number, path in enumerate(pictures.rglob("*.png")):
        pixels = np.full((8, 8, 3), 100, np.uint8)
        pixels[number % 8, 0, 0] = pixels[number // 8 % 8, 1, 1] = 101  # of one brightness
        pixels[number // 64, 2, 2] = 101
        Image.fromarray(pixels).save(path)
    assert "the score brightness of all 90 images is 100.016" in refused()


def test_calibrate_refuses_unreadable_data(
    bundle_folder: Path, pictures: Path, out: Path, tmp_path: Path
) -> None:
    def refused(data: Path) -> str:
        return message(run("calibrate", bundle_folder, "--data", data, "--out", out))

    assert "the path does not exist" in refused(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    assert "the path is a pipe or a device" in refused(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    assert "found no images" in refused(tmp_path / "empty")
    (tmp_path / "junk.csv").write_bytes(b"\x00\x01")
    assert "the file is binary and not Parquet" in refused(tmp_path / "junk.csv")
    (tmp_path / "keep.csv").write_text("image,keep\n" + "no.png,yes\n" * 60)
    assert "cannot read 1 of 60 images:\n  no.png: No such file or directory" in refused(
        tmp_path / "keep.csv"
    )
    (tmp_path / "drop.csv").write_text("image,keep\nno.png,no\n")
    assert "no image is kept" in refused(tmp_path / "drop.csv")
    (pictures / "red" / "broken.png").write_bytes(b"GIF89a")
    os.mkfifo(pictures / "red" / "pipe.png")
    text = refused(pictures)
    assert "cannot read 2 of 92 images" in text
    assert "leave them out with --skip-broken" in text
    assert not out.exists()
    skipping = run("calibrate", bundle_folder, "--data", pictures, "--out", out, "--skip-broken")
    assert skipping.exit_code == 0, skipping.output
    found = open_bundle(out).manifest.calibration
    assert found is not None
    assert sum(found.broken.values()) == 2


def test_calibrate_never_writes_into_the_bundle_or_over_anything(
    bundle_folder: Path, pictures: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    write_tiny(other, version="7")
    before = files(bundle_folder), files(other)
    for out in (bundle_folder, other, tmp_path / "link"):
        if out.name == "link":
            out.symlink_to(tmp_path / "nowhere")
        text = message(run("calibrate", bundle_folder, "--data", pictures, "--out", out))
        assert "exists, expected a new folder" in text
    inside = bundle_folder / "new" / "one"
    text = message(run("calibrate", bundle_folder, "--data", pictures, "--out", inside))
    assert "is in the folder of the bundle, expected another place" in text
    assert (files(bundle_folder), files(other)) == before


def test_calibrate_on_a_full_disk_leaves_nothing(
    bundle_folder: Path, pictures: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "calibration.safetensors":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    text = message(run("calibrate", bundle_folder, "--data", pictures, "--out", out))
    assert "the bundle cannot be written: No space left on device. Free disk space" in text
    assert sorted(path.name for path in out.parent.iterdir()) == ["recent", "tiny"]
    assert run("verify", bundle_folder).exit_code == 0
