"""Draw how the ranking of the shipped bundles falls under attack, from their evaluation reports.

    python -m benchmarks.robustness

Writes docs/robustness.svg, which docs/robustness.md shows.
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.shipped import ROOT, paper_report, standard_report
from oodguard.training.report.model import Report

FIGURE = ROOT / "docs" / "robustness.svg"

FAMILIES = {
    "CIFAR-10": (
        "cifar10-standard",
        "cifar10-oe",
        "cifar10-aloe",
        "cifar10-aloe-8",
        "cifar10-aloe-distilled",
    ),
    "CIFAR-100": ("cifar100-standard", "cifar100-oe", "cifar100-aloe", "cifar100-aloe-2"),
    "GTSRB": ("gtsrb-standard", "gtsrb-aloe"),
}

# The file is the same for the same figures.
_STYLE: dict[Any, Any] = {"svg.hashsalt": "oodguard", "font.size": 9, "svg.fonttype": "none"}


def draw(path: Path) -> None:
    """Write the figure: mean AUROC over the budget, by bundle and suite."""
    with mpl.rc_context(_STYLE):
        figure, panels = plt.subplots(1, len(FAMILIES), figsize=(12, 3.6), sharey=True)
        for axes, (family, names) in zip(panels, FAMILIES.items(), strict=True):
            for index, name in enumerate(names):
                _line(axes, standard_report(name), f"C{index}", label=name)
                paper = paper_report(name)
                if paper is not None:
                    _line(axes, paper, f"C{index}", label=None)
            axes.axhline(0.5, color="0.6", linewidth=0.8)
            axes.set(title=family, xlabel="budget of the attack on both sides, in 255ths")
            axes.legend(frameon=False, fontsize=8)
        panels[0].set(ylabel="mean AUROC, six sets", ylim=(-0.02, 1.02))
        figure.tight_layout()
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        plt.close(figure)


def _line(axes: Axes, report: Report, colour: str, label: str | None) -> None:
    """Draw a report: solid for the suite `standard`, dashed for the weaker `paper`."""
    points = sorted((each.epsilon_255, each.mean_auroc) for each in report.conditions)
    budgets, aurocs = zip(*points, strict=True)
    axes.plot(budgets, aurocs, "o-" if label else "--", color=colour, label=label, markersize=3)


if __name__ == "__main__":
    draw(FIGURE)
