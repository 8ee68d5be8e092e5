"""The score histograms of the report, on one scale for all sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from oodguard.training.report.charts import DASHES, Chart, colour_of, level, new_axes
from oodguard.training.report.evidence import EvaluationEvidence, Scores
from oodguard.training.report.markdown import budget, percent
from oodguard.training.report.metrics import false_rejection_rate
from oodguard.training.report.model import Report
from oodguard.training.report.svg import COLOURS, inline_svg

BINS = 32
X_TICKS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """The bars that all histograms share.

    The increasing `edges` `(b,)` separate the `b + 1` bars, of which the outermost are unbounded;
    the served threshold is one of them. `tallest` is the largest fraction of images in a bar.
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
    and probabilities concentrate at one end. The threshold is an edge, never inside a bar.
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
    figure, axes = new_axes("score", "fraction of images", (0, bars[-1]), (0, scale.tallest))
    step = max(1, round(len(scale.edges) / X_TICKS))
    marked = range(step // 2, len(scale.edges), step)
    axes.set_xticks([i + 1 for i in marked], [f"{scale.edges[i]:.3g}" for i in marked])
    axes.locator_params(axis="y", nbins=5)
    for place, (i, scores) in enumerate(layers.items()):
        heights = shares(scores, scale.edges)
        if place == 0:
            axes.stairs(heights, bars, fill=True, color=colour_of(i), alpha=0.22, linewidth=0)
        axes.stairs(
            heights,
            bars,
            color=colour_of(i),
            linestyle=DASHES[level(i)],
            linewidth=2 if place else 1,
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
