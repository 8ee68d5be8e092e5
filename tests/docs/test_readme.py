"""The README's figures are those of the bundles that ship, to the letter."""

from pathlib import Path

from benchmarks.shipped import NAMES, shipped_table
from oodguard.models.bundle import open_bundle

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readmes_table_is_the_bundles() -> None:
    assert shipped_table() in README


def test_every_bundle_that_ships_has_its_page() -> None:
    for name in NAMES:
        assert (ROOT / "docs" / "reports" / name / "evaluation.html").exists()
        assert f"docs/reports/{name}/evaluation.html" in README


def test_the_readmes_answer_is_the_default_bundles() -> None:
    bundle = open_bundle(ROOT / "models" / "pretrained" / "cifar10-aloe")
    assert f'"sha256": "{bundle.sha256[:12]}..."' in README


def test_every_local_link_leads_somewhere() -> None:
    targets = [part.partition(")")[0].partition("#")[0] for part in README.split("](")[1:]]
    local = [target for target in targets if target and not target.startswith("http")]
    assert len(local) > 5
    assert [target for target in local if not (ROOT / target).exists()] == []
