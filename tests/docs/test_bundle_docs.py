from pathlib import Path

import pytest

from oodguard.models.bundle import MAX_BYTES
from oodguard.models.scores import SCORE_NAMES

TEXT = (Path(__file__).parents[2] / "docs" / "bundle.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*MAX_BYTES, *SCORE_NAMES])
def test_every_file_and_every_score_is_documented(name: str) -> None:
    assert f"| `{name}` |" in TEXT
