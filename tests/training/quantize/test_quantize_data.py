"""The images that ranges, thresholds and the comparison of an INT8 bundle need."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from typer.testing import CliRunner

from oodguard.models.bundle import open_bundle
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy, threshold
from oodguard.models.errors import CalibrationError, RecipeError
from oodguard.models.records import CalibrationRecord
from oodguard.sources.reader import list_source
from oodguard.sources.source import Source
from oodguard.training.cli.app import app
from oodguard.training.quantize.distribution import other_distribution
from oodguard.training.quantize.images import check_classes, images_of_recipe, images_of_source
from tests.sources.picture_files import encoded

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "models" / "pretrained" / "cifar10-aloe"
CIFAR10 = ROOT / "tests" / "data" / "cifar10"
POLICY = Policy(score="abstain", alpha=0.1, delta=0.1)


def test_quantize_needs_other_images_for_a_bundle_that_was_calibrated_again() -> None:
    source = open_bundle(SOURCE)
    record = CalibrationRecord(
        source="recent",
        images=100,
        created=source.manifest.created,
        by="Ada",
        command="oodguard calibrate",
        replaced=source.sha256,
        replaced_version="1",
        evaluated_version="1",
    )
    manifest = source.manifest.model_copy(update={"calibration": record})
    with pytest.raises(RecipeError, match="was calibrated on recent, not on the images of its rec"):
        images_of_recipe(replace(source, manifest=manifest))


def test_quantize_warns_of_images_unlike_the_calibration() -> None:
    older = open_bundle(SOURCE).rows
    policy = Policy(score="abstain")
    scores = older.scores["abstain"]
    alike = CalibrationRows(scores={"abstain": scores[::3]}, groups=None)
    assert other_distribution(older, alike, policy) is None
    outliers = CalibrationRows(scores={"abstain": np.sort(scores)[-200:]}, groups=None)
    warning = other_distribution(older, outliers, policy)
    assert warning is not None
    assert "most of them higher: another camera" in warning
    rejected = (outliers.scores["abstain"] > threshold(np.sort(scores), policy)).mean()
    assert f"rejects {rejected:.1%} of them" in warning
    trained = CalibrationRows(scores={"abstain": np.sort(scores)[:2000]}, groups=None)
    warning = other_distribution(older, trained, policy)
    assert warning is not None
    assert "lower: the classifier may have been trained on them" in warning


def test_quantize_needs_images_for_ranges_thresholds_and_comparison() -> None:
    with pytest.raises(CalibrationError, match="found 200 images, expected at least 3,000"):
        images_of_source(open_bundle(SOURCE), Source(folder=CIFAR10), POLICY)


def films(folder: Path, *sizes: int) -> Source:
    """Write a table of films of so many images; the red of an image is the number of its film."""
    numbers = np.repeat(np.arange(len(sizes)), sizes)
    images = [encoded(number) for number in range(len(sizes))]
    table = pyarrow.table({"image": [images[each] for each in numbers], "film": numbers})
    pyarrow.parquet.write_table(table, folder / "films.parquet")
    return Source(parquet=folder / "films.parquet", group="film")


def test_quantize_with_groups_calibrates_on_half_of_them(tmp_path: Path) -> None:
    bundle = open_bundle(SOURCE)
    found = images_of_source(bundle, films(tmp_path, *[60] * 60), POLICY)
    calibration, tuning, compared = (
        set(images[:, 0, 0, 0].tolist())
        for images in (found.calibration.images, found.tuning, found.compared)
    )
    assert (len(calibration), len(tuning | compared)) == (30, 30)
    assert not calibration & (tuning | compared)
    assert found.calibration.groups is not None
    assert len(found.calibration.groups.unique()) == 30
    # Not in the order of the films: the first images set the ranges.
    assert len(set(found.ranges[:, 0, 0, 0].tolist())) == 30


def test_quantize_needs_groups_for_the_threshold_and_images_for_the_rest(tmp_path: Path) -> None:
    bundle = open_bundle(SOURCE)
    with pytest.raises(
        CalibrationError, match="half of 30 groups calibrates, 15, expected at least 2"
    ):
        images_of_source(bundle, films(tmp_path, *[110] * 30), POLICY)
    ranks = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    sizes = [3000 if rank == 0 else 1 for rank in ranks.tolist()]  # the first calibrates
    with pytest.raises(CalibrationError, match="have 3,029 of the 3,059 images, which leaves 30, "):
        images_of_source(bundle, films(tmp_path, *sizes), POLICY)


def test_quantize_rejects_data_of_other_classes(tmp_path: Path) -> None:
    words = ["quantize", str(SOURCE), "--data", str(CIFAR10.parent / "signs" / "test")]
    result = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "unknown classes no_entry, priority_road, stop, yield, exp" in result.stderr
    assert "sub-folders with the names of its classes or all in one folder" in result.stderr


def test_quantize_warns_of_classes_without_images() -> None:
    data = list_source(Source(folder=CIFAR10), labelled=False)
    assert check_classes(data.classes, data) is None
    assert check_classes(tuple(reversed(data.classes)), data) is None  # matched by name
    warning = check_classes((*data.classes, "tram", "bus"), data)
    assert warning is not None
    assert "has no image of 2 of the 12 classes: tram, bus. The limit alpha" in warning
    flat = list_source(Source(folder=CIFAR10 / "ship"), labelled=False)
    assert check_classes(("a", "b"), flat) is None


@pytest.mark.parametrize("option", [("--images", "100"), ("--skip-broken",), ("--group", "folder")])
def test_quantize_rejects_options_of_data_without_data(
    option: tuple[str, ...], tmp_path: Path
) -> None:
    words = ["quantize", str(SOURCE), "--out", str(tmp_path / "out"), *option]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "--images, --skip-broken and --group: expected --data too" in result.stderr


def test_quantize_without_the_data_of_the_recipe_names_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["quantize", str(SOURCE), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "cannot read the data: No such file or directory" in result.stderr
    assert "Give held-out images of its distribution with --data" in result.stderr
