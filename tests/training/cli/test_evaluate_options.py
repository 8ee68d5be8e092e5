"""Options of `evaluate` that the target or the suite would ignore are rejected."""

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodguard.training.cli.app import app
from oodguard.training.cli.evaluate import UNTRUSTED
from oodguard.training.cli.sources import list_recipe
from oodguard.training.data.card import describe_data
from tests.training.recipes import DATA, RECIPE
from tests.training.runs import save_run

BUNDLE = Path(__file__).parents[3] / "models" / "pretrained" / "cifar10-aloe"


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "other.toml").write_text(RECIPE, encoding="utf-8")
    run = save_run(tmp_path / "run").folder
    return {"RUN": str(run), "RECIPE": str(tmp_path / "other.toml"), "BUNDLE": str(BUNDLE)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("RUN --recipe RECIPE", "--recipe: .* is not a bundle, expected the folder of a bundle"),
        ("RUN --renew", "--renew: .* is not a bundle"),
        ("BUNDLE --renew --suite paper", "'paper', expected quick or standard or full with --ren"),
        ("BUNDLE --renew --score msp", "--score is 'msp', expected 'abstain', the default score"),
        ("RUN --suite paper --twin RUN", "--twin: the suite 'paper' has no attack trials"),
    ],
)
def test_evaluate_rejects_options_without_effect(
    words: str, message: str, paths: dict[str, str]
) -> None:
    given = [paths.get(word, word) for word in words.split()]
    result = CliRunner().invoke(app, ["evaluate", *given])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert re.search(message, line)


@pytest.mark.slow
@pytest.mark.usefixtures("short_suite")
def test_evaluate_skips_broken_images_of_the_evaluation_only(tmp_path: Path) -> None:
    shutil.copytree(DATA / "textures", tmp_path / "textures")
    text = RECIPE.replace(str(DATA / "textures"), str(tmp_path / "textures"))
    run = str(save_run(tmp_path / "run", text, outputs=10).folder)
    next((tmp_path / "textures").rglob("*.png")).write_bytes(b"no image")
    refused = CliRunner().invoke(app, ["evaluate", run])
    assert "cannot read 1 of 24 images" in refused.stderr
    done = CliRunner().invoke(app, ["evaluate", run, "--skip-broken"])
    assert done.exit_code in {0, UNTRUSTED}, done.output
    report = json.loads((tmp_path / "run" / "evaluation.json").read_text(encoding="utf-8"))
    assert report["results"][0]["conditions"][0]["sets"]["textures"]["images"] == 23


def test_evaluate_rejects_a_twin_whose_inliers_changed_since_fit(tmp_path: Path) -> None:
    shutil.copytree(DATA / "cifar10", tmp_path / "photos")
    text = RECIPE.replace(str(DATA / "cifar10"), str(tmp_path / "photos"))
    twin = save_run(tmp_path / "twin", text, outputs=10)
    twin.write_data(describe_data(list_recipe(text)))
    run = save_run(tmp_path / "run", outputs=10).folder
    next((tmp_path / "photos").rglob("*.png")).unlink()
    result = CliRunner().invoke(app, ["evaluate", str(run), "--twin", str(twin.folder)])
    assert result.exit_code == 1
    assert "photos contains 199 images (sha256 " in result.stderr
