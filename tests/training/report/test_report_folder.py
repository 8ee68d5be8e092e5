from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from oodguard.models.bundle import write_bundle
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.derived_card import derive_card, parse_card
from oodguard.models.errors import RecipeError
from oodguard.models.manifest import ROWS_VERSION, Description
from oodguard.models.records import CalibrationRecord
from oodguard.training.report.write import create_report_folder, renew
from tests.conftest import rows_bundle
from tests.training.report.example import REPORT


@pytest.mark.parametrize("folder", ["/proc/x", "x" * 300, __file__], ids=["proc", "long", "file"])
def test_report_folder_that_cannot_be_created_is_an_error(folder: str) -> None:
    with pytest.raises(RecipeError, match=f"^{folder}: the report cannot be written: .*--out"):
        create_report_folder(Path(folder))


def test_renewed_evaluation_of_a_calibrated_bundle_keeps_the_record_and_its_section(
    tmp_path: Path,
) -> None:
    scores = dict.fromkeys(("msp", "energy"), np.arange(100, dtype=np.float32))
    made = rows_bundle(tmp_path / "made", CalibrationRows(scores=scores))
    record = CalibrationRecord(
        source="recent",
        images=100,
        created=datetime(2026, 5, 1, tzinfo=UTC),
        by="Ada",
        command="oodguard calibrate",
        replaced=made.sha256,
        replaced_version="1",
        evaluated_version="1",
    )
    fields = {"schema_version": ROWS_VERSION, "version": "2", "calibration": record}
    manifest = made.manifest.model_dump(exclude={"files"})
    folder = tmp_path / "calibrated"
    calibrated = write_bundle(
        folder,
        description=Description.model_validate({**manifest, **fields, "default_score": "energy"}),
        model=made.model,
        calibration=made.rows,
        evaluation=made.evaluation,
        card=derive_card(made.manifest, made.card, "2", {"Calibration": "On recent images."}),
    )
    renewed = renew(folder, REPORT.model_copy(update={"measured": calibrated.sha256}))
    assert renewed.manifest.calibration == record.model_copy(update={"evaluated_version": "2"})
    card = parse_card(renewed.card)
    assert (card.sections, card.history) == ({"Calibration": "On recent images."}, ("version 1",))
    assert "measured at the threshold of version 2." in card.note
    assert "## Figures" in card.exported
