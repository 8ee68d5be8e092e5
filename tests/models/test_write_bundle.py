from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from oodguard.models.bundle import (
    CALIBRATION,
    CARD,
    EVALUATION,
    MANIFEST,
    MODEL,
    open_bundle,
    write_bundle,
)
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.errors import BundleError
from tests.conftest import build_bundle

FILES = (MODEL, CALIBRATION, EVALUATION, CARD, MANIFEST)


@pytest.mark.parametrize("missing", [[], [MODEL], FILES])
def test_write_bundle_replaces_a_bundle_a_damaged_one_and_an_empty_folder(
    folder: Path, missing: Sequence[str]
) -> None:
    for name in missing:
        (folder / name).unlink()
    build_bundle(folder, model=b"new")
    assert open_bundle(folder).model == b"new"
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize(
    "present", [["thesis.tex"], ["manifest.json", "thesis.tex"], ["README.md"]]
)
def test_write_bundle_does_not_change_another_folder(tmp_path: Path, present: list[str]) -> None:
    (tmp_path / "work").mkdir()
    for name in present:
        (tmp_path / "work" / name).write_text("mine")
    with pytest.raises(BundleError, match="is not a bundle"):
        build_bundle(tmp_path / "work")
    with pytest.raises(BundleError, match="is not a bundle"):
        build_bundle(tmp_path / "work" / present[0])
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == sorted(present)


@pytest.mark.parametrize("folder", ["/proc/x", "x" * 300], ids=["proc", "long"])
def test_write_bundle_reports_a_folder_that_cannot_be_written(folder: str) -> None:
    with pytest.raises(BundleError, match=f"{folder}: the bundle cannot be written: "):
        build_bundle(Path(folder))


def write_again(folder: Path, **changes: object) -> None:
    """Write the bundle of `folder` again with changes."""
    old = open_bundle(folder)
    given: dict[str, object] = {
        "description": old.manifest,
        "model": b"new",
        "calibration": old.rows,
        "evaluation": old.evaluation,
        "card": "# new\n",
    }
    write_bundle(folder, **(given | changes))  # type: ignore[arg-type]


FULL = np.arange(5, dtype=np.float32)
NAMES = ("msp", "max_logit", "energy")


def rows_of(predicted: NDArray[np.int32]) -> CalibrationRows:
    return CalibrationRows(scores=dict.fromkeys(NAMES, FULL), predicted=predicted)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"evaluation": {"auroc": float("nan")}}, "cannot be written as JSON"),
        ({"evaluation": {"auroc": float("inf")}}, "cannot be written as JSON"),
        ({"evaluation": {"when": {1, 2}}}, "cannot be written as JSON"),
        (
            {"calibration": CalibrationRows(scores={"msp": FULL})},
            r"calibration has scores \['msp'\]",
        ),
        (
            {"calibration": rows_of(FULL.astype(np.int32))},
            "predicted holds class 4, expected",
        ),
    ],
)
def test_write_bundle_rejects_invalid_parts_and_keeps_the_old_bundle(
    folder: Path, changes: dict[str, object], complaint: str
) -> None:
    before = open_bundle(folder).sha256
    with pytest.raises(BundleError, match=complaint):
        write_again(folder, **changes)
    assert open_bundle(folder).sha256 == before
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_bundle_with_calibration_rows_has_schema_version_3(folder: Path) -> None:
    write_again(folder, calibration=rows_of(np.array([0, 1, 2, 1, 0], np.int32)))
    opened = open_bundle(folder)
    assert opened.manifest.schema_version == 3
    assert opened.rows.predicted is not None
    assert opened.rows.predicted.tolist() == [0, 1, 2, 1, 0]
    assert opened.rows.scores["energy"].tolist() == FULL.tolist()


def test_bundle_of_schema_version_1_may_hold_scores_only(folder: Path) -> None:
    write_again(folder, calibration=rows_of(np.zeros(5, np.int32)))
    manifest = folder / "manifest.json"
    text = manifest.read_text().replace('"schema_version": 3', '"schema_version": 1')
    manifest.write_text(text)
    with pytest.raises(BundleError, match="expected scores only by schema_version 1"):
        open_bundle(folder)
