"""docs/calibration.md documents every option of `oodguard calibrate`, and its commands run."""

import re
from pathlib import Path

import typer

from oodguard.models.bundle import open_bundle
from oodguard.service.cli import app
from tests.docs.commands import run_commands

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "calibration.md").read_text(encoding="utf-8")


def test_calibration_page_documents_every_option() -> None:
    command = typer.main.get_command(app)
    calibrate = command.commands["calibrate"]  # type: ignore[attr-defined]  # a group
    options = {
        name
        for parameter in calibrate.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--") and name not in {"--help", "--labels"}
    }
    assert {name for name in options if f"`{name}" not in TEXT} == set()


def test_calibration_page_commands_run(tmp_path: Path) -> None:
    for name in ("models", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    section = TEXT.partition("# Calibrate on recent images\n")[2].partition("\n## ")[0]
    calibrated, verified = run_commands(section, tmp_path).values()
    assert "cifar10-aloe 1.post2" in calibrated
    assert re.search(r"calibration\s+200 images", verified)
    assert open_bundle(tmp_path / "cifar10-recent").manifest.calibration is not None
