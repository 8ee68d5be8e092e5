"""The figures of the report: security curves, ROC curves and score histograms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from oodguard.training.report.card import budget, percent
from oodguard.training.report.metrics import false_rejection_rate, missed_ood_rate
from oodguard.training.report.model import Condition, EvaluationEvidence, Report, Scores
from oodguard.training.report.svg import COLOURS, inline_svg, new_figure

WIDTH, HEIGHT = 340, 260
MARGINS = {"left": 54, "right": 12, "top": 12, "bottom": 42}
"""The size of a chart and the margins around its axes, in SVG user units."""

QUARTERS = (0, 0.25, 0.5, 0.75, 1)

DASHES = ("-", (0, (4.5, 1)), (0, (3, 1)), (0, (2, 1)), (0, (1, 1)))
"""The line styles of the budgets, the clean one first; any further budgets share the last style."""

BINS = 32

X_TICKS = 6

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
    names = report.conditions[0].sets

    def curve(name: str | None) -> NDArray[np.float64]:
        return np.array([_security_point(condition, name) for condition in report.conditions])

    return {MEAN: curve(None), **{name: curve(name) for name in names}}


def security_figure(curves: Mapping[str, NDArray[np.float64]], *, focus: str) -> Figure:
    """Draw the curve named `focus` with its intervals, the other curves faint behind it."""
    budgets = sorted({epsilon for curve in curves.values() for epsilon in curve[:, 0].tolist()})
    figure, axes = _new_axes("epsilon, in 255ths", "AUROC", (0, budgets[-1] or 1), (0, 1))
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
    figure, axes = _new_axes("in-distribution rejected", "OOD rejected", (0, 1), (0, 1))
    axes.set_xticks(QUARTERS, [f"{quarter:g}" for quarter in QUARTERS])
    axes.set_yticks(QUARTERS, [f"{quarter:g}" for quarter in QUARTERS])
    axes.plot((0, 1), (0, 1), color=COLOURS["quiet"], linestyle=":", linewidth=1)
    for i, (inliers, outliers) in enumerate(pairs):
        truth = np.repeat((0, 1), (len(inliers), len(outliers)))
        rejected, found, _ = roc_curve(truth, np.concatenate((inliers, outliers)))
        axes.plot(
            rejected,
            found,
            color=_colour(i),
            linestyle=DASHES[level(i)],
            linewidth=2,
            clip_on=False,
        )
    for i, (inliers, outliers) in enumerate(pairs):
        axes.plot(
            false_rejection_rate(inliers, threshold),
            1 - missed_ood_rate(outliers, threshold),
            "o",
            color=_colour(i),
            markeredgecolor=COLOURS["card"],
            markersize=8,
            clip_on=False,
            zorder=3,
        )
    return figure


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """The bars that all histograms share.

    Attributes:
        edges: The increasing edges `(b,)` between the `b + 1` bars; the threshold is one of them.
            The outermost bars are unbounded.
        tallest: The largest fraction of images in a bar.
        threshold: The served threshold.
    """

    edges: NDArray[np.float64]
    tallest: float
    threshold: float


def histogram_charts(report: Report, evidence: EvaluationEvidence) -> list[Chart]:
    """Draw the scores of every set, clean and under the highlighted budget, on one scale."""
    highlighted = report.highlighted
    budgets = (0, highlighted.epsilon_255) if highlighted else (0,)
    picked = {i: c for i, c in enumerate(evidence.conditions) if c.epsilon_255 in budgets}
    sets = {f"{report.test_set} (in-distribution)": {i: c.inliers for i, c in picked.items()}}
    for name in report.conditions[0].sets:
        sets[name] = {i: condition.outliers[name] for i, condition in picked.items()}
    everything = [scores for layers in sets.values() for scores in layers.values()]
    scale = common_scale(everything, evidence.threshold)
    return [
        Chart(
            caption=name,
            svg=inline_svg(
                histogram_figure(layers, scale),
                key=f"histogram-{position}",
                title=f"Scores, {name}",
                description=f"Rejected at the served threshold {scale.threshold:.4g}: "
                + ", ".join(
                    f"{budget(picked[i].epsilon_255)}"
                    f" {percent(false_rejection_rate(scores, scale.threshold))}"
                    for i, scores in layers.items()
                ),
            ),
        )
        for position, (name, layers) in enumerate(sets.items())
    ]


def common_scale(scores: Sequence[Scores], threshold: float) -> Scale:
    """Return bars that each hold about as many of all the scores `(n,)` together.

    With bars of equal width, two or three of them would hold most of the images, because energies
    and probabilities concentrate at one end. No bar contains the threshold in its inside.
    """
    every = np.concatenate(scores).astype(np.float64)
    # Quantiles that are scores: between a finite and an infinite one there is no mean.
    edges = np.quantile(
        every[~np.isnan(every)], np.linspace(0, 1, BINS + 1)[1:-1], method="inverted_cdf"
    )
    edges[np.abs(edges - threshold).argmin()] = threshold
    edges = np.unique(edges)
    tallest = max(float(shares(each, edges).max()) for each in scores)
    return Scale(edges=edges, tallest=tallest, threshold=threshold)


def shares(scores: Scores, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the fraction of scores `(n,)` in each bar `(b + 1,)`; a bar includes its upper edge.

    NaN is in the last bar, as NaN is rejected.
    """
    bars = np.searchsorted(edges, scores.astype(np.float64), side="left")
    return np.bincount(bars, minlength=len(edges) + 1) / len(scores)


def histogram_figure(layers: Mapping[int, Scores], scale: Scale) -> Figure:
    """Draw the scores `(n,)` of one set by budget position, the first filled, others outlined."""
    bars = np.arange(len(scale.edges) + 2)
    figure, axes = _new_axes("score", "fraction of images", (0, bars[-1]), (0, scale.tallest))
    step = max(1, round(len(scale.edges) / X_TICKS))
    marked = range(step // 2, len(scale.edges), step)
    axes.set_xticks([i + 1 for i in marked], [f"{scale.edges[i]:.3g}" for i in marked])
    axes.locator_params(axis="y", nbins=5)
    for place, (i, scores) in enumerate(layers.items()):
        heights = shares(scores, scale.edges)
        if place == 0:
            axes.stairs(heights, bars, fill=True, color=_colour(i), alpha=0.22, linewidth=0)
        axes.stairs(
            heights, bars, color=_colour(i), linestyle=DASHES[level(i)], linewidth=2 if place else 1
        )
    place = int(np.searchsorted(scale.edges, scale.threshold)) + 1
    axes.axvline(place, color=COLOURS["ink"], linestyle=(0, (3, 2)), linewidth=1.5)
    for words, offset, align in (("accept", -5, "right"), ("reject", 5, "left")):
        axes.annotate(
            words,
            (place, scale.tallest),
            xytext=(offset, -9),
            textcoords="offset points",
            ha=align,
            color=COLOURS["ink"],
            fontsize=11,
        )
    return figure


def _security_point(condition: Condition, name: str | None) -> tuple[float, float, float, float]:
    side = condition.side
    result = condition.mean[side] if name is None else condition.sets[name].rankings[side]
    interval = result.auroc_interval
    return condition.epsilon_255, result.auroc, interval.low, interval.high


def _new_axes(
    x: str, y: str, x_range: tuple[float, float], y_range: tuple[float, float]
) -> tuple[Figure, Axes]:
    """Return a figure with labelled axes, horizontal grid lines and no frame but the x axis."""
    figure = new_figure(WIDTH, HEIGHT)
    size = (
        WIDTH - MARGINS["left"] - MARGINS["right"],
        HEIGHT - MARGINS["top"] - MARGINS["bottom"],
    )
    axes = figure.add_axes(
        (
            MARGINS["left"] / WIDTH,
            MARGINS["bottom"] / HEIGHT,
            size[0] / WIDTH,
            size[1] / HEIGHT,
        )
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


def _colour(position: int) -> str:
    return COLOURS[f"l{level(position)}"]
