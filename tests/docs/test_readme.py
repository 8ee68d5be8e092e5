"""The README's figures are those of the shipped bundles, and its commands run."""

from pathlib import Path

import pytest

from benchmarks.shipped import NAMES, shipped_table
from oodguard.models.bundle import open_bundle
from tests.docs.commands import run_commands

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_is_under_150_lines() -> None:
    assert len(README.splitlines()) < 150


def test_readme_table_matches_the_bundles() -> None:
    assert shipped_table() in README


@pytest.mark.parametrize("name", NAMES)
def test_readme_links_the_report_of_every_bundle(name: str) -> None:
    assert (ROOT / "docs" / "reports" / name / "evaluation.html").exists()
    assert f"docs/reports/{name}/evaluation.html" in README


def test_readme_response_is_that_of_the_default_bundle() -> None:
    bundle = open_bundle(ROOT / "models" / "pretrained" / "cifar10-aloe")
    assert f'"sha256": "{bundle.sha256[:12]}..."' in README
    page = (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8")
    response = README.partition('"model": {')[2].partition("```")[0]
    assert response
    assert response in page


@pytest.mark.slow
def test_readme_training_commands_lead_to_verdicts(tmp_path: Path) -> None:
    section = README.partition("## Train your own")[2].partition("\n## ")[0]
    for name in ("recipes", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    outputs = run_commands(section, tmp_path)
    programs = [command.split()[0].removeprefix(".venv/bin/") for command in outputs]
    assert programs == ["oodguard-train"] * 3 + ["oodguard"]
    *_, verdicts = outputs.values()
    assert "accept" in verdicts
    assert "reject" in verdicts
