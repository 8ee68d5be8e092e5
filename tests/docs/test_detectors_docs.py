from pathlib import Path

import pytest

from oodguard.models.scores import SCORE_NAMES
from oodguard.models.scores.base import ScoreOptions
from oodguard.training.detectors import DETECTORS

TEXT = (Path(__file__).parents[2] / "docs" / "detectors.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*SCORE_NAMES, *DETECTORS])
def test_every_detector_has_its_row(name: str) -> None:
    assert f"| `{name}` |" in TEXT


@pytest.mark.parametrize("option", ScoreOptions.model_fields)
def test_every_option_stands_beside_its_score(option: str) -> None:
    assert f"`{option}`" in TEXT
