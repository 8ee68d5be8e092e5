"""`oodguard calibrate`: folders, tables and review lists to a new bundle; bad input is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from oodguard.models.bundle import open_bundle
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.derived_card import parse_card
from oodguard.service.cli import app
from tests.conftest import rows_bundle
from tests.service.commands import oodguard
from tests.service.graphs import CLASSES, SIZE, graph
from tests.service.recalibration.calibrate import N, message, run


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
    assert "such as too_dark: the bundle has 90 calibration images, expected at least 219" in (
        " ".join(result.stderr.split())
    )


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
    third = open_bundle(tmp_path / "third")
    manifest = third.manifest
    assert manifest.version == "1.post2"
    card = parse_card(third.card)
    assert list(card.sections) == ["Calibration"]
    assert card.exported == open_bundle(bundle_folder).card
    later, first = card.history
    assert later.startswith("version 1.post1, calibrated ")
    assert later.endswith(" on 90 images of recent")
    assert first == "version 1"
    assert manifest.calibration is not None
    assert manifest.calibration.replaced == open_bundle(out).sha256
    assert manifest.calibration.evaluated_version == "1"


def test_calibrate_with_beta_alone_needs_labels_and_sets_the_threshold(
    bundle_folder: Path, pictures: Path, out: Path
) -> None:
    runner = CliRunner(
        env={"OODGUARD_ALPHA": "none", "OODGUARD_DELTA": "none", "OODGUARD_BETA": "0.05"}
    )
    arguments = ["calibrate", str(bundle_folder), "--data", str(pictures), "--out", str(out)]
    refused = runner.invoke(app, [*arguments, "--no-labels"])
    assert "the images have no labels, expected them for beta 0.05 with alpha none" in message(
        refused
    )
    few = runner.invoke(app, [*arguments, "--images", "18"])
    assert "found 18 images, expected at least 19 for beta 0.05. Calibrate" in message(few)
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    # Every image is predicted correctly, so only the largest score sets the threshold.
    assert "unknown" in result.output  # the older images have no labels
    assert "threshold 129 (before: unknown): beta 5.0%." in (out / "README.md").read_text()


def test_calibrate_warns_of_what_the_older_bundle_has_and_the_new_one_has_not(
    pictures: Path, out: Path, tmp_path: Path
) -> None:
    scores = np.arange(250, dtype=np.float32)
    classes = np.zeros(250, np.int32)
    rows = CalibrationRows(
        scores={"brightness": scores, "darkness": -scores},
        predicted=classes,
        labels=classes,
        groups=np.arange(250, dtype=np.int32) // 2,
        attacked={2: scores},
    )
    older = tmp_path / "older"
    rows_bundle(older, rows, classes=CLASSES, height=SIZE, width=SIZE, model=graph())
    result = CliRunner(env={"OODGUARD_UNDER_ATTACK": "2"}).invoke(
        app,
        ["calibrate", str(older), "--data", str(pictures), "--out", str(out), "--no-labels"],
    )
    assert result.exit_code == 0, result.output
    for expected in (
        "warning: The scores of attacked images are left out",
        "warning: The older calibration has labels and the new one has none",
        "warning: The older calibration has groups and the new one has none",
        "warning: The service refuses this bundle under the policy of the settings: under_attack",
    ):
        assert expected in result.stderr
    card = (out / "README.md").read_text()
    assert "**Warning.** The scores of attacked images are left out" in card
    assert open_bundle(out).manifest.calibration_attack is None


def test_calibrate_names_the_file_of_a_row_with_a_large_score(
    bundle_folder: Path, pictures: Path, out: Path
) -> None:
    names = sorted(path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png"))
    table = pictures / "table.csv"
    table.write_text("\n".join(["image", *names]))
    result = run("calibrate", bundle_folder, "--data", table, "--out", out)
    assert result.exit_code == 0, result.output
    row = names.index("blue/film9/89.png")
    assert f"  129  row {row} ({pictures}/blue/film9/89.png)" in result.output


def test_calibrate_reads_a_table_with_its_groups(
    bundle_folder: Path, pictures: Path, out: Path
) -> None:
    names = sorted(path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png"))
    rows = [f"{name},{name.split('/')[0]},{name.split('/')[1]}" for name in names]
    (pictures / "table.csv").write_text("\n".join(["image,label,film", *rows]))
    table = ("--data", pictures / "table.csv", "--group", "film")
    calibrations = {
        "labels": (*table,),
        "across": (*table, "--group-across-classes"),
        "no labels": (*table, "--no-labels"),
        "folder": ("--data", pictures, "--group", "folder", "--no-labels"),
    }
    groups, labelled = {}, {}
    for name, arguments in calibrations.items():
        result = CliRunner(env={"OODGUARD_DELTA": "none", "OODGUARD_ALPHA": "0.1"}).invoke(
            app, [*map(str, ("calibrate", bundle_folder, *arguments, "--out", out / name))]
        )
        assert result.exit_code == 0, result.output
        written = open_bundle(out / name)
        found = written.manifest.calibration
        assert found is not None
        groups[name], labelled[name] = found.groups, written.rows.labels is not None
        shared = (
            " has 30 groups of 10 values: a value that several classes share is one group for each"
            " of them, and with --group-across-classes one group in all. If images"
        )
        card = (out / name / "README.md").read_text(encoding="utf-8")
        for text in (result.stderr, card):
            assert (shared in text) == (name == "labels")
    verified = " ".join(
        oodguard(
            "verify", out / "labels", OODGUARD_DELTA="none", OODGUARD_ALPHA="0.1"
        ).stdout.split()
    )
    assert " images in 30 groups, each of which counts as one image; " in verified
    # The 10 films have pictures of all three classes.
    assert groups == {"labels": 30, "across": 10, "no labels": 10, "folder": 30}
    assert labelled == {"labels": True, "across": True, "no labels": False, "folder": False}


def test_calibrate_draws_the_same_image_of_each_group_in_any_order_of_the_source(
    bundle_folder: Path, pictures: Path, out: Path
) -> None:
    names = sorted(path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png"))
    rows = [f"{name},{name.split('/')[0]},{name.split('/')[1]}" for name in names]
    stored: list[bytes] = []
    for turned in (rows, rows[::-1]):
        table = pictures / f"table{len(stored)}.csv"
        table.write_text("\n".join(["image,label,film", *turned]))
        written = out / table.stem
        arguments = ("calibrate", bundle_folder, "--data", table, "--out", written)
        films = ("--group", "film", "--group-across-classes")
        result = CliRunner(env={"OODGUARD_DELTA": "none", "OODGUARD_ALPHA": "0.1"}).invoke(
            app, [*map(str, (*arguments, *films))]
        )
        assert result.exit_code == 0, result.output
        stored.append((written / "calibration.safetensors").read_bytes())
    assert stored[0] == stored[1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ("--images", "58"),
            "found 58 images, expected at least 59 for alpha 0.05 with delta 0.05",
        ),
        (("--group", "folder"), "30 calibration groups are too few"),
        (("--group", "name:red|green|blue"), "3 calibration groups are too few for alpha 0.05"),
        (("--group", "name:^"), "none of 90 pictures has a group: the first, "),
        (("--group", r"name:(\d+)\.png"), "each of the 90 groups has 1 image, expected groups of"),
        (("--version", "1"), "--version is '1', expected one that is newer than '1'"),
        (("--version", "2rc1", "--images", "1"), "found 1 images"),
        (("--version", "a b"), "--version is 'a b', expected 1 to 32 letters, digits"),
        (("--version", "2+local"), "expected 1 to 32 letters, digits"),
        (("--group", "x"), "group is 'x', expected 'folder'"),
        (("--group-across-classes",), "--group-across-classes has no groups to join, expected"),
        (("--label-column", "x"), "--label-column is 'x', expected none: "),
        (("--image-column", "x"), "--image-column is 'x', expected none: "),
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

    assert "the path does not exist, expected a folder" in refused(tmp_path / "none")
    assert "the path does not exist, expected a table" in refused(tmp_path / "none.csv")
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
