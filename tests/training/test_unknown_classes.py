"""Classes that are left out, from the recipe to the row of the table and the bundle."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodguard.models.bundle import open_bundle
from oodguard.training.cli.app import app


def _oodguard_train(*words: object) -> None:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output


@pytest.mark.slow
@pytest.mark.usefixtures("short_suite")
def test_classes_that_were_never_trained_are_a_row_of_the_table(
    recipe_text: str, tmp_path: Path
) -> None:
    text = recipe_text.replace("[inliers]\n", '[inliers]\nleave_out = ["cat", "ship"]\n')
    text = text.replace('default_score = "msp"', 'default_score = "energy"')
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    run, out = tmp_path / "run", tmp_path / "bundle"
    _oodguard_train("fit", tmp_path / "tiny.toml", "--out", run)
    _oodguard_train("evaluate", run)
    _oodguard_train("export", run, "--out", out)
    report = json.loads((run / "evaluation.json").read_bytes())
    conditions = report["results"][0]["conditions"]
    assert [each["sets"]["unknown_classes"]["images"] for each in conditions] == [40, 40]
    bundle = open_bundle(out)
    assert {"cat", "ship"}.isdisjoint(bundle.manifest.classes)
    assert len(bundle.manifest.classes) == 8
    assert bundle.manifest.training.inliers.images == 80
    assert "| unknown_classes |" in (out / "README.md").read_text(encoding="utf-8")
