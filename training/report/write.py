"""What `evaluate` writes: the report as JSON, as a Markdown table and as a page."""

from pathlib import Path

from pydantic import ValidationError

from oodguard.models.bundle import EVALUATION, Bundle, open_bundle, write_bundle
from oodguard.models.errors import BundleError, RecipeError
from oodguard.models.manifest import Description
from oodguard.training.config.suites import SHIPPABLE_SUITES
from oodguard.training.report.card import figures, write_card
from oodguard.training.report.model import EvaluationEvidence, Report
from oodguard.training.report.page import write_html
from oodguard.training.run_folder import RunFolder


def renew(folder: Path, report: Report) -> Bundle:
    """Replace the figures of the bundle in `folder` by a report that was measured on it.

    Raises:
        BundleError: the report is of another bundle, or by another score than the one that decides.
    """
    bundle = open_bundle(folder)
    if report.measured != bundle.sha256:
        raise BundleError(
            f"{folder} is bundle {bundle.sha256[:12]}; the report is of {report.measured[:12]}"
        )
    if report.score != bundle.manifest.default_score:
        raise BundleError(
            f"{folder} decides by {bundle.manifest.default_score!r}; the report is by"
            f" {report.score!r}"
        )
    description = Description.model_validate(bundle.manifest.model_dump(exclude={"files"}))
    return write_bundle(
        folder,
        description=description,
        model=bundle.model,
        calibration=bundle.calibration,
        evaluation=report.model_dump(mode="json"),
        card=write_card(description, report, report.recipe),
    )


def write_report(folder: Path, report: Report, evidence: EvaluationEvidence) -> Path:
    """Write `NAME.json`, `NAME.md` and `NAME.html` into a folder, replacing older ones.

    NAME is `evaluation` for the suites that a bundle may carry, else `evaluation-SUITE`. Returns
    the path of the page.
    """
    suite = report.suite.name
    name = (
        Path(EVALUATION).stem if suite in SHIPPABLE_SUITES else f"{Path(EVALUATION).stem}-{suite}"
    )
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        ".json": report.model_dump_json(indent=2) + "\n",
        ".md": f"# {report.name}: {suite}\n\n{figures(report)}\n",
        ".html": write_html(report, evidence),
    }
    for ending, text in texts.items():
        (folder / f"{name}{ending}").write_text(text, encoding="utf-8")
    return folder / f"{name}.html"


def read_report(run: RunFolder) -> Report:
    """Return the run's report by a suite that is fit to ship.

    Raises:
        RecipeError: the run was not evaluated so, or the file was damaged.
    """
    path = run.folder / EVALUATION
    try:
        return Report.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise RecipeError(
            f"{run.folder} was not evaluated: run `oodguard-train evaluate {run.folder}` first,"
            f" with --suite {' or '.join(SHIPPABLE_SUITES)}"
        ) from error
    except ValidationError as error:
        raise RecipeError(f"{path} is damaged: {error}; evaluate the run again") from error
