"""Run `oodguard-train wrap`, and read the report of its bundle."""

from pathlib import Path

from typer.testing import CliRunner, Result

from oodguard.models.bundle import Bundle
from oodguard.training.cli.app import app
from oodguard.training.wrap.report import WrapReport


def wrap(classifier: Path, pictures: Path, out: Path, *more: object) -> Result:
    words = ["wrap", classifier, "--data", pictures / "colours", "--out", out, *more]
    return CliRunner().invoke(app, [str(word) for word in words])


def report_of(bundle: Bundle) -> WrapReport:
    return WrapReport.model_validate(bundle.evaluation)
