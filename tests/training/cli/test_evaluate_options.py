"""Options of `evaluate` that the target or the suite would ignore are rejected."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodguard.training.cli.app import app
from tests.training.recipes import RECIPE
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
