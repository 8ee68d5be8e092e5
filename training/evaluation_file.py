"""A run's evaluation.json: written by `evaluate`, read by `export`."""

from pydantic import ValidationError

from models.bundle import EVALUATION
from models.errors import RecipeError
from training.checkpoint import RunFolder
from training.first_report import Report


def write_report(run: RunFolder, report: Report) -> None:
    """Keep a report in the run's folder, replacing an older one."""
    text = report.model_dump_json(indent=2) + "\n"
    (run.folder / EVALUATION).write_text(text, encoding="utf-8")


def read_report(run: RunFolder) -> Report:
    """Return the run's report.

    Raises:
        RecipeError: the run was not evaluated, or the file was damaged.
    """
    path = run.folder / EVALUATION
    try:
        return Report.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise RecipeError(
            f"{run.folder} was not evaluated: run `oodguard-train evaluate {run.folder}` first"
        ) from error
    except ValidationError as error:
        raise RecipeError(f"{path} is damaged: {error}; evaluate the run again") from error
