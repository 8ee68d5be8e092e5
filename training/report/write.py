"""Write a report as JSON, Markdown and HTML; read it back; put it into a bundle."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from oodguard.models.bundle import EVALUATION, Bundle, open_bundle, write_bundle
from oodguard.models.derived_card import evaluated_again
from oodguard.models.errors import BundleError, RecipeError
from oodguard.models.manifest import Description, InputSpec, lowest_schema_version
from oodguard.models.records import QuantizationRecord
from oodguard.models.validation_errors import describe_error
from oodguard.training.config.suites import RELEASE_SUITES, SHIPPABLE_SUITES
from oodguard.training.report.card import write_card
from oodguard.training.report.chance_warnings import report_warnings
from oodguard.training.report.classes import classes_table, rejections_table
from oodguard.training.report.evidence import EvaluationEvidence
from oodguard.training.report.figures import figures
from oodguard.training.report.left_out import left_out_list
from oodguard.training.report.model import Report
from oodguard.training.report.page import write_html
from oodguard.training.report.remedies import remedies
from oodguard.training.run_folder import RunFolder


def create_report_folder(folder: Path) -> None:
    """Create the folder of a report, for use before an evaluation that may take hours.

    Raises:
        RecipeError: The folder cannot be created.
    """
    with _write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def write_report(
    folder: Path, report: Report, evidence: EvaluationEvidence, *, classes: int
) -> Path:
    """Write `NAME.json`, `NAME.md` and `NAME.html` into a folder and replace existing files.

    See `report_name` for NAME. `classes` is the number of classes of the classifier.

    Returns:
        The path of the HTML page.

    Raises:
        RecipeError: The files cannot be written.
    """
    suite = report.suite.name
    name = report_name(suite)
    create_report_folder(folder)
    warnings = report_warnings(report, classes=classes)
    texts = {
        ".json": report.model_dump_json(indent=2) + "\n",
        ".md": "\n\n".join(
            part
            for part in (
                f"# {report.name}: {suite}",
                figures(report, warnings),
                classes_table(report),
                rejections_table(report.predicted_classes),
                left_out_list(report),
                *(f"- {remedy}" for remedy in remedies(report)),
            )
            if part
        )
        + "\n",
        ".html": write_html(report, evidence, warnings=warnings),
    }
    with _write_errors(folder):
        for ending, text in texts.items():
            (folder / f"{name}{ending}").write_text(text, encoding="utf-8")
    return folder / f"{name}.html"


def report_name(suite: str) -> str:
    """Return the name of the files of a report: `evaluation`, or `evaluation-SUITE`.

    The suites of releases have the first one.
    """
    name = Path(EVALUATION).stem
    return name if suite in RELEASE_SUITES else f"{name}-{suite}"


@contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecipeError(
            f"{folder}: the report cannot be written: {error.strerror}. Free disk space, or choose"
            " another folder with --out"
        ) from error


def read_report(run: RunFolder) -> Report:
    """Read the report of a run that a bundle may carry: that of a release suite, else of `quick`.

    Raises:
        RecipeError: The run has no such report, or the file is invalid or of other weights.
    """
    paths = dict.fromkeys(
        run.folder / f"{report_name(suite)}.json" for suite in (*RELEASE_SUITES, *SHIPPABLE_SUITES)
    )
    path = next((each for each in paths if each.exists()), None)
    if path is None:
        raise RecipeError(
            f"{run.folder} has no {EVALUATION}. Run `oodguard-train evaluate {run.folder}` first,"
            f" with --suite {' or '.join(SHIPPABLE_SUITES)}. A report is deleted when training"
            " continues"
        )
    try:
        report = Report.model_validate_json(path.read_bytes())
    except ValidationError as error:
        cause = describe_error(error.errors()[0])
        raise RecipeError(f"{path} is invalid: {cause}. Evaluate the run again") from error
    if report.measured != "run" or report.weights not in {None, run.weights_sha256()}:
        raise RecipeError(
            f"{path} was measured on other weights than the last checkpoint of the run. Evaluate"
            " the run again"
        )
    return report


def stamped(
    report: Report, spec: InputSpec, quantization: QuantizationRecord | None = None
) -> dict[str, object]:
    """Return the fields of a manifest that state the suite: the stamp and the schema version."""
    stamp: Literal["quick"] | None = "quick" if report.suite.name == "quick" else None
    version = lowest_schema_version(spec, stamp=stamp, quantization=quantization)
    return {"stamp": stamp, "schema_version": version}


def renew(folder: Path, report: Report) -> Bundle:
    """Replace the evaluation and the model card of a bundle by a report measured on it.

    Raises:
        BundleError: The report was measured on another bundle, or by another score than the
            bundle's default.
    """
    bundle = open_bundle(folder)
    if report.measured != bundle.sha256:
        raise BundleError(
            f"The report was measured on bundle {report.measured[:12]}, expected"
            f" {bundle.sha256[:12]}, the bundle in {folder}"
        )
    if report.score != bundle.manifest.default_score:
        raise BundleError(
            f"The report is for the score {report.score!r}, expected"
            f" {bundle.manifest.default_score!r}, the default score of {folder}"
        )
    manifest = bundle.manifest
    fields = stamped(report, manifest.input, manifest.quantization)
    if manifest.calibration is not None:
        # Its other keys require this version, and the figures are those of this calibration now.
        evaluated = {"evaluated_version": manifest.version}
        fields |= {
            "schema_version": manifest.schema_version,
            "calibration": manifest.calibration.model_copy(update=evaluated),
        }
    description = Description.model_validate(manifest.model_dump(exclude={"files"}) | fields)
    card = write_card(description, report, report.recipe, bundle.rows)
    return write_bundle(
        folder,
        description=description,
        model=bundle.model,
        calibration=bundle.rows,
        evaluation=report.model_dump(mode="json"),
        card=evaluated_again(description, bundle.card, card),
    )
