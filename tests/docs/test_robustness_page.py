"""The figure and the figures of docs/robustness.md are those of the bundles."""

from pathlib import Path

from benchmarks.robustness import FIGURE, draw
from benchmarks.shipped import ROOT, standard_report
from oodguard.training.report.markdown import percent

PAGE = (ROOT / "docs" / "robustness.md").read_text(encoding="utf-8")


def test_robustness_figure_is_that_of_the_reports(tmp_path: Path) -> None:
    draw(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").read_bytes() == FIGURE.read_bytes(), (
        "docs/robustness.svg is out of date: run python -m benchmarks.robustness"
    )


def test_robustness_page_states_the_accuracies_of_the_reports() -> None:
    hardened, stronger = standard_report("cifar10-aloe"), standard_report("cifar10-aloe-8")
    assert f"`cifar10-aloe-8` classifies {percent(stronger.accuracy)} of the test" in PAGE
    assert f"`cifar10-aloe` {percent(hardened.accuracy)}." in PAGE
