import re
from pathlib import Path

import datasets
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "score.md").read_text()


def test_score_page_example_of_datasets_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(example, {})  # noqa: S102 - our own page
    rejected, _, pictures = capsys.readouterr().out.split()
    assert int(pictures) == len([*(ROOT / "tests/data/cifar10").rglob("*.png")])
    assert 0 < int(rejected) < int(pictures) / 5
