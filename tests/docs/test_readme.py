"""The README's figures are those of the bundles that ship, to the letter."""

from pathlib import Path

import pytest

from models.bundle import open_bundle
from training.report import Report
from training.table import percent, table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["cifar10-aloe", "cifar10-standard"])
def test_the_readmes_table_is_the_bundles(name: str) -> None:
    bundle = open_bundle(ROOT / "models" / "pretrained" / name)
    report = Report.model_validate(bundle.evaluation)
    assert table(report) in README
    assert f"{percent(report.accuracy)} clean accuracy" in README


def test_the_readmes_answer_is_the_default_bundles() -> None:
    bundle = open_bundle(ROOT / "models" / "pretrained" / "cifar10-aloe")
    assert f'"sha256": "{bundle.sha256[:12]}..."' in README


def test_every_local_link_leads_somewhere() -> None:
    targets = [part.partition(")")[0].partition("#")[0] for part in README.split("](")[1:]]
    local = [target for target in targets if target and not target.startswith("http")]
    assert len(local) > 5
    assert [target for target in local if not (ROOT / target).exists()] == []
