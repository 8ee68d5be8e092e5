"""What `evaluate` writes: the report as JSON, as a Markdown table and as a page."""

from pathlib import Path

from pydantic import ValidationError

from models.bundle import EVALUATION
from models.errors import RecipeError
from training.card import figures
from training.checkpoint import RunFolder
from training.evidence import Evidence
from training.html.page import write_html
from training.report import Report
from training.suites import FIT_TO_SHIP


def write_report(folder: Path, report: Report, evidence: Evidence) -> Path:
    """Write `NAME.json`, `NAME.md` and `NAME.html` into a folder, replacing older ones.

    NAME is `evaluation` for the suites that a bundle may carry, else `evaluation-SUITE`. Returns
    the path of the page.
    """
    suite = report.suite.name
    name = Path(EVALUATION).stem if suite in FIT_TO_SHIP else f"{Path(EVALUATION).stem}-{suite}"
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
            f" with --suite {' or '.join(FIT_TO_SHIP)}"
        ) from error
    except ValidationError as error:
        raise RecipeError(f"{path} is damaged: {error}; evaluate the run again") from error
