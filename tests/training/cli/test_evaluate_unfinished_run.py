"""The report of a run that is not finished states it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodguard.training.cli.app import app
from oodguard.training.report.model import Report
from tests.training.recipes import RECIPE
from tests.training.runs import save_run


@pytest.mark.parametrize(("epochs", "finished"), [(2, 1), (1, None)])
def test_evaluate_warns_of_an_unfinished_run(
    tmp_path: Path, epochs: int, finished: int | None
) -> None:
    text = RECIPE.replace("epochs = 2", f"epochs = {epochs}")
    run = save_run(tmp_path / "run", text, outputs=10).folder
    result = CliRunner().invoke(app, ["evaluate", str(run), "--suite", "quick"])
    warning = "finished epochs: 1 of 2; these are the figures of an unfinished run. Finish it"
    page = (run / "evaluation-quick.md").read_text(encoding="utf-8")
    printed = " ".join(result.output.split())
    assert (warning in printed, warning in page) == (bool(finished), bool(finished))
    report = Report.model_validate_json((run / "evaluation-quick.json").read_bytes())
    assert report.finished_epochs == finished
    assert ("To change:" in printed) == (finished is None)  # advice is for finished runs
