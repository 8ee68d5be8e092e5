from datetime import UTC, datetime
from pathlib import Path

import pytest

from oodguard.models.records import CalibrationRecord
from oodguard.training.report.card import write_card
from oodguard.training.report.chance_warnings import chance_warnings, report_warnings
from oodguard.training.report.figures import figures, protocol_text, table
from oodguard.training.report.markdown import budget, percent, share
from oodguard.training.report.model import Check, Interval, MeanAuroc, Trust, Twin
from oodguard.training.report.write import write_report
from oodguard.training.run_progress import WeightsOrigin
from tests.conftest import build_bundle
from tests.training.report.example import EVIDENCE, REPORT


def test_card_numbers_are_written_short() -> None:
    assert [percent(value) for value in (0, 0.05, 0.1234, 1)] == ["0 %", "5 %", "12.3 %", "100 %"]
    assert [share(value) for value in (0.5, 1.0)] == [".500", "1.000"]
    assert [budget(epsilon_255) for epsilon_255 in (0.0, 2.0, 0.5)] == ["clean", "2/255", "0.5/255"]


def test_card_table_has_a_column_per_budget_and_a_row_per_set() -> None:
    assert table(REPORT).splitlines() == [
        "| set | clean | 2/255 |",
        "| --- | --- | --- |",
        "| near | .750 / 50 % | .250 / 100 % |",
        "| far | 1.000 / 0 % | .500 / 50 % |",
        "| **mean** | **.875** / 25 % | **.375** / 75 % |",
        "| false rejections | 0 % | 25 % |",
        "| wrong and accepted | 25 % | 50 % |",
    ]


def test_card_states_the_protocol() -> None:
    text = protocol_text(REPORT)
    for part in ("APGD", "30 steps from 1 start", "4 test images", "Suite `standard`", "15 steps"):
        assert part in text
    assert "every check of the attack passed" in text


def test_card_states_the_gradients_of_an_int8_graph() -> None:
    assert "straight-through" not in protocol_text(REPORT)
    report = REPORT.model_copy(update={"straight_through": True})
    assert "float32 twin (straight-through estimator)" in protocol_text(report)


def test_card_marks_untrusted_figures() -> None:
    report = REPORT.model_copy(update={"trust": Trust(stamp="untrusted", checks=())})
    assert "**a check of the attack failed" in protocol_text(report)


@pytest.mark.parametrize(
    ("method", "words"), [("aloe", "a\\*b (method `aloe`)."), (None, "a\\*b. Measured")]
)
def test_card_states_the_twin(method: str | None, words: str) -> None:
    report = REPORT.model_copy(update={"twin": Twin(name="a*b", method=method)})
    assert f"The transfer check attacks {words}" in protocol_text(report)
    assert "transfer check" not in protocol_text(REPORT)


def test_card_states_why_a_check_has_no_outcome() -> None:
    checks = (
        Check(name="beats noise", outcome="passed", figure=0.1, expected="at most 0.5"),
        Check(
            name="has [long]", outcome="not checked", figure=None, expected="less", reason="no twin"
        ),
        Check(name="older", outcome="not checked", figure=None, expected="at most 1"),
    )
    trust = Trust(stamp="partly checked", checks=checks)
    text = figures(REPORT.model_copy(update={"trust": trust}))
    assert "but some have no outcome (partly checked)" in text
    assert text.endswith(
        "\n\nChecks of the attack without an outcome:\n\n- has \\[long\\]: no twin\n- older"
    )
    assert "without an outcome" not in figures(REPORT)


@pytest.mark.parametrize(
    ("accuracy", "images", "classes", "interval"),
    [
        # Intervals of scipy.stats.binomtest(x, n).proportion_ci(method="wilson").
        (0.23, 100, 4, "15.8 % to 32.2 %"),
        (0.5, 100, 4, None),
        (0.59, 100, 2, "49.2 % to 68.1 %"),
        (0.62, 100, 2, None),
        (0.74, 100, 2, None),
        (0.11, 1000, 10, "9.2 % to 13.1 %"),
        (0.13, 1000, 10, None),
        (0.0, 10, 3, "0 % to 27.8 %"),
    ],
)
def test_accuracy_near_chance_is_a_warning(
    accuracy: float, images: int, classes: int, interval: str | None
) -> None:
    found = chance_warnings(accuracy=accuracy, images=images, classes=classes)
    expected = (
        f"the accuracy is {percent(accuracy)}, near chance ({percent(1 / classes)} for {classes}"
        f" classes): the 95 % Wilson interval of {images:,} images is {interval}"
    )
    assert found == ((expected,) if interval else ())


@pytest.mark.parametrize(
    ("auroc", "low", "is_warned"), [(0.45, 0.4, True), (0.52, 0.49, True), (0.52, 0.51, False)]
)
def test_auroc_at_chance_is_a_warning(auroc: float, low: float, *, is_warned: bool) -> None:
    clean = MeanAuroc(auroc=auroc, auroc_interval=Interval(low=low, high=0.6))
    warnings = chance_warnings(accuracy=1.0, images=90, classes=4, clean=clean)
    assert len(warnings) == is_warned
    if is_warned:
        assert warnings[0].startswith(f"the mean AUROC of clean images is {share(auroc)}, not")


def test_reversed_ranking_is_a_warning() -> None:
    clean = MeanAuroc(auroc=0.033, auroc_interval=Interval(low=0.02, high=0.05))
    (warning,) = chance_warnings(accuracy=1.0, images=90, classes=4, clean=clean)
    assert warning.startswith("the mean AUROC of clean images is .033, below .500: the score")


def test_chance_warnings_are_in_the_table_and_in_the_files_of_a_report(tmp_path: Path) -> None:
    assert not report_warnings(REPORT, classes=4)  # accuracy 75 %
    report = REPORT.model_copy(update={"accuracy": 0.23})
    (warning,) = report_warnings(report, classes=4)
    assert f"**Warning:** {warning}." in figures(report, report_warnings(report, classes=4))
    page = write_report(tmp_path, report, EVIDENCE, classes=4)
    assert f"<strong>Warning:</strong> {warning}." in page.read_text(encoding="utf-8")
    assert warning in page.with_suffix(".md").read_text(encoding="utf-8")


def test_card_names_the_teacher_and_warns_of_another_split(tmp_path: Path) -> None:
    """The bound assumes that the network did not learn the calibration images."""
    bundle = build_bundle(tmp_path / "tiny")
    caveat = "**`a/model.onnx`, from which this network learned, had another split of the images"
    for same_split, is_stated in ((False, True), (True, False), (None, False)):
        origin = WeightsOrigin(name="a/model.onnx", sha256="0" * 64, same_split=same_split)
        taught = REPORT.model_copy(update={"teacher": origin})
        card = write_card(bundle.manifest, taught, "", bundle.rows)
        assert f"| teacher | `a/model.onnx`, sha256 `{'0' * 64}` |" in card
        assert (caveat in card) == is_stated
    origin = WeightsOrigin(name="a/model.onnx", sha256="0" * 64, same_split=False)
    taught = REPORT.model_copy(update={"teacher": origin})
    calibration = CalibrationRecord(
        source="others",
        images=400,
        created=datetime(2026, 5, 1, tzinfo=UTC),
        by="Ada",
        command="oodguard calibrate",
        replaced="0" * 64,
        replaced_version="1",
        evaluated_version="1",
    )
    calibrated = bundle.manifest.model_copy(update={"calibration": calibration})
    assert caveat not in write_card(calibrated, taught, "", bundle.rows)  # on other images
    started = REPORT.model_copy(update={"started_from": origin})
    assert "| started from | `a/model.onnx`" in write_card(
        bundle.manifest, started, "", bundle.rows
    )
    plain = write_card(bundle.manifest, REPORT, "", bundle.rows)
    assert "| teacher |" not in plain
    assert "| started from |" not in plain
