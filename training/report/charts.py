"""The security curves and ROC curves of the report, and the style of all charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from oodguard.training.report.evidence import EvaluationEvidence, Scores
from oodguard.training.report.markdown import budget
from oodguard.training.report.metrics import false_rejection_rate, missed_ood_rate
from oodguard.training.report.model import Condition, Report
from oodguard.training.report.svg import COLOURS, inline_svg, new_figure

WIDTH, HEIGHT = 340, 260
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 12, 42
"""The size of a chart and the margins around its axes, in SVG user units."""

QUARTERS = (0, 0.25, 0.5, 0.75, 1)

DASHES = ("-", (0, (4.5, 1)), (0, (3, 1)), (0, (2, 1)), (0, (1, 1)))
"""The line styles of the budgets, the clean one first; any further budgets share the last style."""

MEAN = "mean of all sets"


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A rendered figure and its caption."""

    caption: str
    svg: Markup


def level(position: int) -> int:
    """Return the style number of the budget at this position, 0 being the clean one."""
    return min(position, len(DASHES) - 1)


def security_charts(report: Report) -> list[Chart]:
    """Draw the AUROC over the attack budget: one chart for the mean and one for every set."""
    curves = security_curves(report)
    return [
        Chart(
            caption=name,
            svg=inline_svg(
                security_figure(curves, focus=name),
                key=f"security-{i}",
                title=f"AUROC over the attack budget, {name}",
                description=", ".join(
                    f"{budget(epsilon_255)}: {auroc:.3f} ({low:.3f} to {high:.3f})"
                    for epsilon_255, auroc, low, high in curve.tolist()
                ),
            ),
        )
        for i, (name, curve) in enumerate(curves.items())
    ]


def security_curves(report: Report) -> dict[str, NDArray[np.float64]]:
    """Return the curve of the mean and of every set, by name.

    A curve is `(b, 4)`: epsilon in 255ths, AUROC, and the ends of its interval, for `b` budgets.
    """
    return {
        name or MEAN: np.array(
            [_security_point(condition, name) for condition in report.conditions]
        )
        for name in (None, *report.conditions[0].sets)
    }


def security_figure(curves: Mapping[str, NDArray[np.float64]], *, focus: str) -> Figure:
    """Draw the curve named `focus` with its intervals, the other curves faint behind it."""
    budgets = sorted({epsilon for curve in curves.values() for epsilon in curve[:, 0].tolist()})
    figure, axes = new_axes("epsilon, in 255ths", "AUROC", (0, budgets[-1] or 1), (0, 1))
    axes.set_xticks(budgets, [f"{epsilon:g}" for epsilon in budgets])
    axes.set_yticks(QUARTERS, [f"{quarter:g}" for quarter in QUARTERS])
    axes.axhline(0.5, color=COLOURS["quiet"], linestyle=":", linewidth=1)
    for name, curve in curves.items():
        if name != focus:
            axes.plot(curve[:, 0], curve[:, 1], color=COLOURS["quiet"], alpha=0.4, linewidth=1.2)
    epsilon, auroc, low, high = curves[focus].T
    colour = COLOURS["l0"]
    axes.fill_between(epsilon, low, high, color=colour, alpha=0.16, linewidth=0)
    axes.vlines(epsilon, low, high, color=colour, linewidth=1.5, clip_on=False)
    axes.plot(epsilon, auroc, "o-", color=colour, linewidth=2.5, markersize=7, clip_on=False)
    return figure


def roc_charts(report: Report, evidence: EvaluationEvidence) -> list[Chart]:
    """Draw the ROC curves of every set, one for each budget."""
    budgets = [budget(condition.epsilon_255) for condition in report.conditions]
    charts = []
    for i, name in enumerate(report.conditions[0].sets):
        pairs = [(each.inliers, each.outliers[name]) for each in evidence.conditions]
        areas = [
            f"{words} {condition.auroc(name):.3f}"
            for words, condition in zip(budgets, report.conditions, strict=True)
        ]
        svg = inline_svg(
            roc_figure(pairs, evidence.threshold),
            key=f"roc-{i}",
            title=f"ROC curves, {name}",
            description=f"Area under the curve: {', '.join(areas)}."
            " Dots mark the served threshold.",
        )
        charts.append(Chart(caption=name, svg=svg))
    return charts


def roc_figure(pairs: Sequence[tuple[Scores, Scores]], threshold: float) -> Figure:
    """Draw one ROC curve for each pair of inlier scores `(n,)` and outlier scores `(m,)`.

    A dot marks the served threshold. The first pair is the clean one.
    """
    figure, axes = new_axes("in-distribution rejected", "OOD rejected", (0, 1), (0, 1))
    axes.set_xticks(QUARTERS, [f"{quarter:g}" for quarter in QUARTERS])
    axes.set_yticks(QUARTERS, [f"{quarter:g}" for quarter in QUARTERS])
    axes.plot((0, 1), (0, 1), color=COLOURS["quiet"], linestyle=":", linewidth=1)
    for i, (inliers, outliers) in enumerate(pairs):
        truth = np.repeat((0, 1), (len(inliers), len(outliers)))
        rejected, found, _ = roc_curve(truth, np.concatenate((inliers, outliers)))
        axes.plot(
            rejected,
            found,
            color=colour_of(i),
            linestyle=DASHES[level(i)],
            linewidth=2,
            clip_on=False,
        )
    for i, (inliers, outliers) in enumerate(pairs):
        axes.plot(
            false_rejection_rate(inliers, threshold),
            1 - missed_ood_rate(outliers, threshold),
            "o",
            color=colour_of(i),
            markeredgecolor=COLOURS["card"],
            markersize=8,
            clip_on=False,
            zorder=3,
        )
    return figure


def _security_point(condition: Condition, name: str | None) -> tuple[float, float, float, float]:
    side = condition.side
    result = condition.mean[side] if name is None else condition.sets[name].rankings[side]
    interval = result.auroc_interval
    return condition.epsilon_255, result.auroc, interval.low, interval.high


def new_axes(
    x: str, y: str, x_range: tuple[float, float], y_range: tuple[float, float]
) -> tuple[Figure, Axes]:
    """Return a figure with labelled axes, horizontal grid lines and no frame but the x axis."""
    figure = new_figure(WIDTH, HEIGHT)
    axes = figure.add_axes(
        (LEFT / WIDTH, BOTTOM / HEIGHT, 1 - (LEFT + RIGHT) / WIDTH, 1 - (TOP + BOTTOM) / HEIGHT)
    )
    axes.patch.set_visible(False)
    axes.set_xlim(*x_range)
    axes.set_ylim(*y_range)
    axes.set_xlabel(x, color=COLOURS["quiet"], fontsize=12)
    axes.set_ylabel(y, color=COLOURS["quiet"], fontsize=12)
    axes.tick_params(color=COLOURS["quiet"], labelcolor=COLOURS["quiet"], labelsize=11)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=COLOURS["grid"], linewidth=1)
    axes.set_axisbelow(True)
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(COLOURS["quiet"])
    return figure, axes


def colour_of(position: int) -> str:
    """Return the colour of the budget at this position, 0 being the clean one."""
    return COLOURS[f"l{level(position)}"]
