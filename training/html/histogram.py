"""Score histograms: how far an attack moves a set's scores, and what the threshold makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evidence import Evidence
from training.html import svg
from training.html.axes import HEIGHT, WIDTH, Axis, Plane, round_ticks
from training.html.legend import budget, legend, level
from training.html.markup import Markup, joined
from training.html.numerals import percent
from training.html.section import charts, paragraph, section
from training.html.shown_budget import shown_condition
from training.metrics import Scores, false_rejection_rate
from training.report import Report

BINS = 32
TICKS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """The scores `(n,)` of a set under the attack budget of this `level`."""

    name: str
    scores: Scores
    level: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """What the charts share: the rising edges `(b,)` between the bars, and the tallest bar.

    The threshold is one of the edges. The outermost bars have no end.
    """

    edges: NDArray[np.float64]
    tallest: float
    threshold: float


def histogram_section(report: Report, evidence: Evidence) -> Markup:
    """Return the scores of every set, clean and under the shown budget, on one scale."""
    shown = shown_condition(report)
    budgets = (0, shown.epsilon_255) if shown else (0,)
    picked = [(i, c) for i, c in enumerate(evidence.conditions) if c.epsilon_255 in budgets]
    sets = [(f"{report.test_set} (in-distribution)", [c.inliers for _, c in picked])]
    sets += [(name, [c.outliers[name] for _, c in picked]) for name in report.conditions[0].sets]
    scale = common_scale([scores for _, each in sets for scores in each], evidence.threshold)
    names = [(i, budget(c.epsilon_255)) for i, c in picked]
    drawn = [
        (
            name,
            histogram_chart(
                [Layer(name=n, scores=s, level=i) for (i, n), s in zip(names, each, strict=True)],
                scale,
                key=f"histogram-{position}",
                title=name,
            ),
        )
        for position, (name, each) in enumerate(sets)
    ]
    return section(
        "Scores, clean against attacked",
        paragraph(
            f"The {report.score} score of every image; the dashed line is the served threshold, and"
            " what lies right of it is rejected. Bars are not equally wide in scores: each holds as"
            " many images of all charts together, so that where scores pile up they stay apart."
        ),
        legend(dict(names)),
        charts(drawn),
    )


def common_scale(scores: Sequence[Scores], threshold: float) -> Scale:
    """Return the scale for these scores `(n,)`: of all together every bar holds about as many.

    Bars of equal widths would hold most of the images in two or three of them, as energies and
    probabilities pile up at one end. The threshold parts two bars, so that none is half rejected.
    """
    every = np.concatenate(scores).astype(np.float64)
    # Of scores that exist, as between a finite and an infinite one there is no mean.
    edges = np.quantile(
        every[~np.isnan(every)], np.linspace(0, 1, BINS + 1)[1:-1], method="inverted_cdf"
    )
    edges[np.abs(edges - threshold).argmin()] = threshold
    edges = np.unique(edges)
    tallest = max(float(shares(each, edges).max()) for each in scores)
    return Scale(edges=edges, tallest=tallest, threshold=threshold)


def shares(scores: Scores, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the scores `(n,)` in each bar `(b + 1,)`, which holds its upper edge."""
    bars = np.searchsorted(edges, scores.astype(np.float64), side="left")
    return np.bincount(bars, minlength=len(edges) + 1) / len(scores)


def histogram_chart(layers: Sequence[Layer], scale: Scale, *, key: str, title: str) -> Markup:
    """Draw one set, the first layer filled, any other an outline."""
    plane = plane_of(scale)
    first, *others = layers
    return svg.drawing(
        plane.axes(),
        svg.polygon(outline(plane, first.scores, scale.edges), f"area {level(first.level)}"),
        *(
            svg.polyline(outline(plane, each.scores, scale.edges), f"curve {level(each.level)}")
            for each in others
        ),
        _line_of_decision(plane, scale),
        key=key,
        width=WIDTH,
        height=HEIGHT,
        title=f"Scores, {title}",
        description=f"Rejected at the served threshold {scale.threshold:.4g}: "
        + ", ".join(
            f"{each.name} {percent(false_rejection_rate(each.scores, scale.threshold))}"
            for each in layers
        ),
    )


def plane_of(scale: Scale) -> Plane:
    """Return the plane that the bars fill, each one unit wide."""
    step = max(1, round(len(scale.edges) / TICKS))
    marked = range(step // 2, len(scale.edges), step)
    ticks = {float(i + 1): f"{scale.edges[i]:.3g}" for i in marked}
    return Plane(
        x=Axis(low=0, high=len(scale.edges) + 1, label="score", ticks=ticks),
        y=Axis(
            low=0,
            high=scale.tallest,
            label="share of images",
            ticks=round_ticks(0, scale.tallest),
        ),
    )


def outline(plane: Plane, scores: Scores, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the corners `(2 b + 4, 2)` of the bars' steps, from the axis up and down again."""
    heights = np.repeat(shares(scores, edges), 2)
    ends = np.repeat(np.arange(len(edges) + 2), 2)
    return plane.points(ends, np.concatenate([[0], heights, [0]]))


def _line_of_decision(plane: Plane, scale: Scale) -> Markup:
    place = int(np.searchsorted(scale.edges, scale.threshold)) + 1
    x, top = plane.point(place, plane.y.high)
    _, bottom = plane.point(place, 0)
    return joined(
        svg.line((x, bottom), (x, top), "threshold"),
        svg.label((x - 5, top + 9), "accept", "side", anchor="end"),
        svg.label((x + 5, top + 9), "reject", "side"),
    )
