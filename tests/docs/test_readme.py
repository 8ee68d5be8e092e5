"""The README's figures are those of the shipped bundles, and its commands run."""

import shlex
import subprocess
import sysconfig
from pathlib import Path

import pytest

from benchmarks.shipped import NAMES, shipped_table
from oodguard.models.bundle import open_bundle

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


@pytest.mark.slow
def test_readme_training_commands_lead_to_verdicts(tmp_path: Path) -> None:
    section = README.partition("## Train your own")[2].partition("\n## ")[0]
    lines = [line.strip() for line in section.splitlines() if line.startswith("    .venv/bin/")]
    commands = [line.removeprefix(".venv/bin/") for line in lines]
    assert [command.split()[0] for command in commands] == ["oodguard-train"] * 3 + ["oodguard"]
    for name in ("recipes", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    outputs = []
    for command in commands:
        local = command.replace("/tmp/smoke", "bundle")  # noqa: S108 - the reader's folder
        script = f"{shlex.quote(sysconfig.get_path('scripts'))}/{local}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        outputs.append(done.stdout)
    assert "accept" in outputs[-1]
    assert "reject" in outputs[-1]
