"""ROC curves: out-of-distribution images caught against in-distribution images rejected."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodguard.training.report.html_helpers import (
    Markup,
    charts,
    element,
    joined,
    number,
    paragraph,
    percent,
    section,
    shown_condition,
)
from oodguard.training.report.metrics import Scores, false_rejection_rate, missed_ood_rate
from oodguard.training.report.model import EvaluationEvidence, Interval, Report

Point = tuple[float, float]


def drawing(
    *content: Markup, key: str, width: float, height: float, title: str, description: str
) -> Markup:
    """Return a picture that a screen reader announces; `key` is unique on the page."""
    return element(
        "svg",
        element("title", title, id=f"{key}-title"),
        element("desc", description, id=f"{key}-desc"),
        *content,
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
    )


def line(start: Point, end: Point, class_: str) -> Markup:
    """Return a straight line."""
    return element("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=class_)


def polyline(points: ArrayLike, class_: str) -> Markup:
    """Return a broken line through points `(n, 2)`."""
    return element("polyline", points=_points(points), class_=class_)


def polygon(points: ArrayLike, class_: str) -> Markup:
    """Return a filled area with corners `(n, 2)`."""
    return element("polygon", points=_points(points), class_=class_)


def rectangle(corner: Point, width: float, height: float, class_: str) -> Markup:
    """Return a rectangle by its upper left corner."""
    return element("rect", x=corner[0], y=corner[1], width=width, height=height, class_=class_)


def dot(centre: Point, radius: float, class_: str) -> Markup:
    """Return a filled circle."""
    return element("circle", cx=centre[0], cy=centre[1], r=radius, class_=class_)


def label(place: Point, text: str, class_: str, *, anchor: str = "start") -> Markup:
    """Return a text on the baseline at `place`; `anchor` is start, middle or end."""
    return element("text", text, x=place[0], y=place[1], text_anchor=anchor, class_=class_)


def upright_label(place: Point, text: str, class_: str) -> Markup:
    """Return a text centred on `place` that is read from below."""
    turn = f"rotate(-90 {number(place[0])} {number(place[1])})"
    return element(
        "text",
        text,
        x=place[0],
        y=place[1],
        text_anchor="middle",
        transform=turn,
        class_=class_,
    )


def _points(points: ArrayLike) -> str:
    pairs: Iterable[Iterable[float]] = np.asarray(points, dtype=float).tolist()
    return " ".join(",".join(number(value) for value in pair) for pair in pairs)


WIDTH, HEIGHT = 340.0, 260.0

LEFT, RIGHT, TOP, BOTTOM = 54.0, 12.0, 12.0, 42.0
"""A chart's size and the margins around its plane, in user units."""

SHARES = {share: f"{share:g}" for share in (0.0, 0.25, 0.5, 0.75, 1.0)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """One direction: the values at its ends, what it measures, and its ticks with their texts."""

    low: float
    high: float
    label: str
    ticks: Mapping[float, str]

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"axis: came {self.low} to {self.high}, wanted rising ends")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plane:
    """Values to user units: `x` to the right, `y` upwards."""

    x: Axis
    y: Axis

    def points(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return where values `(n,)` and `(n,)` lie, `(n, 2)`."""
        right = _share(self.x, x) * (WIDTH - LEFT - RIGHT) + LEFT
        down = (1 - _share(self.y, y)) * (HEIGHT - TOP - BOTTOM) + TOP
        return np.stack([right, down], axis=-1)

    def point(self, x: float, y: float) -> Point:
        """Return where one pair of values lies."""
        right, down = self.points(x, y)
        return float(right), float(down)

    def axes(self) -> Markup:
        """Draw the grid, the ticks and what the axes measure."""
        left, bottom = self.point(self.x.low, self.y.low)
        right, top = self.point(self.x.high, self.y.high)
        rows = [self.point(self.x.low, tick)[1] for tick in self.y.ticks]
        columns = [self.point(tick, self.y.low)[0] for tick in self.x.ticks]
        return joined(
            *(line((left, y), (right, y), "grid") for y in rows),
            line((left, bottom), (right, bottom), "axis"),
            *(line((x, bottom), (x, bottom + 4), "axis") for x in columns),
            *(
                label((left - 6, y + 4), text, "tick", anchor="end")
                for y, text in zip(rows, self.y.ticks.values(), strict=True)
            ),
            *(
                label((x, bottom + 17), text, "tick", anchor="middle")
                for x, text in zip(columns, self.x.ticks.values(), strict=True)
            ),
            label(((left + right) / 2, HEIGHT - 6), self.x.label, "measure", anchor="middle"),
            upright_label((12, (top + bottom) / 2), self.y.label, "measure"),
        )


def round_ticks(low: float, high: float, *, about: int = 5) -> dict[float, str]:
    """Return the multiples of 1, 2 or 5 times a power of ten from `low` to `high`, written out."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return {n * step: f"{n * step:.6g}" for n in range(first, last + 1)}


def _share(axis: Axis, values: ArrayLike) -> NDArray[np.float64]:
    return (np.asarray(values, dtype=np.float64) - axis.low) / (axis.high - axis.low)


LEVELS = 5
"""Clean and four budgets look different from one another; any stronger ones look like the last."""


def level(position: int) -> str:
    """Return the class of the budget at this position, the clean one being 0."""
    return f"level-{min(position, LEVELS - 1)}"


def budget(epsilon_255: float) -> str:
    """Name an attack budget."""
    return f"{epsilon_255:g}/255" if epsilon_255 else "clean"


def legend(names: Mapping[int, str]) -> Markup:
    """Explain the budgets by their levels' positions."""
    return element("ul", *(_entry(i, name) for i, name in names.items()), class_="legend")


def _entry(position: int, name: str) -> Markup:
    sample = polyline([(0, 5), (28, 5)], f"curve {level(position)}")
    key = element("svg", sample, viewBox="0 0 28 10", width=28, height=10, aria_hidden="true")
    return element("li", key, name)


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


def histogram_section(report: Report, evidence: EvaluationEvidence) -> Markup:
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
    return drawing(
        plane.axes(),
        polygon(outline(plane, first.scores, scale.edges), f"area {level(first.level)}"),
        *(
            polyline(outline(plane, each.scores, scale.edges), f"curve {level(each.level)}")
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
        line((x, bottom), (x, top), "threshold"),
        label((x - 5, top + 9), "accept", "side", anchor="end"),
        label((x + 5, top + 9), "reject", "side"),
    )


CHANCE = 0.5

MEAN = "mean of all sets"


@dataclass(frozen=True, kw_only=True, slots=True)
class SecurityPoint:
    """The AUROC at one attack budget, in 255ths of the pixel range, and its interval if known."""

    epsilon_255: float
    auroc: float
    interval: tuple[float, float] | None = None


SecurityCurve = tuple[SecurityPoint, ...]


def security_section(report: Report) -> Markup:
    """Return AUROC over the budget, one chart for the mean and one for every set."""
    curves = security_curves(report)
    drawn = [
        (name, security_chart(curves, focus=name, key=f"security-{i}"))
        for i, name in enumerate(curves)
    ]
    return section(
        "How it falls with the attack budget",
        paragraph(
            "AUROC with both sides attacked, with its 95 % interval; the other sets stand faint"
            " behind. The dotted line is chance."
        ),
        charts(drawn),
    )


def security_curves(report: Report) -> dict[str, SecurityCurve]:
    """Return the curve of the mean and of every set by its name."""

    def point(epsilon_255: float, auroc: float, interval: Interval) -> SecurityPoint:
        return SecurityPoint(
            epsilon_255=epsilon_255, auroc=auroc, interval=(interval.low, interval.high)
        )

    mean = tuple(
        point(c.epsilon_255, c.mean[c.side].auroc, c.mean[c.side].auroc_interval)
        for c in report.conditions
    )
    sets = {
        name: tuple(
            point(c.epsilon_255, ranking.auroc, ranking.auroc_interval)
            for c in report.conditions
            for ranking in (c.sets[name].rankings[c.side],)
        )
        for name in report.conditions[0].sets
    }
    return {MEAN: mean, **sets}


def security_chart(curves: Mapping[str, SecurityCurve], *, focus: str, key: str) -> Markup:
    """Draw the curve named `focus` with its intervals, all others faint behind it."""
    plane = security_plane_of(curves)
    drawn = curves[focus]
    return drawing(
        plane.axes(),
        line(plane.point(0, CHANCE), plane.point(plane.x.high, CHANCE), "chance"),
        *(
            polyline(points_of(plane, curve), "curve other")
            for name, curve in curves.items()
            if name != focus
        ),
        _band(plane, drawn),
        polyline(points_of(plane, drawn), "curve focus"),
        *(dot(plane.point(p.epsilon_255, p.auroc), 3.5, "focus") for p in drawn),
        key=key,
        width=WIDTH,
        height=HEIGHT,
        title=f"AUROC over the attack budget, {focus}",
        description=", ".join(_words(point) for point in drawn),
    )


def security_plane_of(curves: Mapping[str, SecurityCurve]) -> Plane:
    """Return the plane that holds all budgets of the curves."""
    budgets = sorted({point.epsilon_255 for curve in curves.values() for point in curve})
    ticks = {epsilon_255: f"{epsilon_255:g}" for epsilon_255 in budgets}
    return Plane(
        x=Axis(low=0, high=budgets[-1] or 1, label="epsilon, in 255ths", ticks=ticks),
        y=Axis(low=0, high=1, label="AUROC", ticks=SHARES),
    )


def points_of(plane: Plane, curve: SecurityCurve) -> list[Point]:
    """Return where a curve's points lie."""
    return [plane.point(point.epsilon_255, point.auroc) for point in curve]


def _band(plane: Plane, curve: SecurityCurve) -> Markup:
    known = [(point.epsilon_255, *point.interval) for point in curve if point.interval]
    lower = [plane.point(x, low) for x, low, _ in known]
    upper = [plane.point(x, high) for x, _, high in known]
    return joined(
        polygon([*lower, *reversed(upper)], "band") if known else "",
        *(line(a, b, "whisker") for a, b in zip(lower, upper, strict=True)),
    )


def _words(point: SecurityPoint) -> str:
    interval = f" ({point.interval[0]:.3f} to {point.interval[1]:.3f})" if point.interval else ""
    return f"{budget(point.epsilon_255)}: {point.auroc:.3f}{interval}"


TOLERANCE = 0.004
"""How far a drawn curve may pass from a point of the true one: less than its line is wide."""

PLANE = Plane(
    x=Axis(low=0, high=1, label="in-distribution rejected", ticks=SHARES),
    y=Axis(low=0, high=1, label="OOD caught", ticks=SHARES),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """Scores of in-distribution images `(n,)` and outliers `(m,)` under one attack budget."""

    name: str
    inliers: Scores
    outliers: Scores
    auroc: float


def roc_section(report: Report, evidence: EvaluationEvidence) -> Markup:
    """Return the ROC curves of every set, one for each budget."""
    pairs = list(zip(report.conditions, evidence.conditions, strict=True))
    drawn = []
    for i, name in enumerate(report.conditions[0].sets):
        curves = [
            Curve(
                name=budget(condition.epsilon_255),
                inliers=scores.inliers,
                outliers=scores.outliers[name],
                auroc=condition.auroc(name),
            )
            for condition, scores in pairs
        ]
        chart = roc_chart(curves, threshold=evidence.threshold, key=f"roc-{i}", title=name)
        drawn.append((name, chart))
    return section(
        "ROC curves",
        paragraph(
            "Further to the upper left is better. A dot is where the served threshold works; the"
            " dotted diagonal is chance."
        ),
        legend({i: budget(c.epsilon_255) for i, c in enumerate(report.conditions)}),
        charts(drawn),
    )


def roc_chart(curves: Sequence[Curve], *, threshold: float, key: str, title: str) -> Markup:
    """Draw a set's curves, the clean one first, with a dot where the served threshold works."""
    return drawing(
        PLANE.axes(),
        polyline([PLANE.point(0, 0), PLANE.point(1, 1)], "chance"),
        *(
            polyline(
                PLANE.points(*simplified(roc(curve.inliers, curve.outliers), TOLERANCE).T),
                f"curve {level(i)}",
            )
            for i, curve in enumerate(curves)
        ),
        *(_served(curve, threshold, level(i)) for i, curve in enumerate(curves)),
        key=key,
        width=WIDTH,
        height=HEIGHT,
        title=f"ROC curves, {title}",
        description="Area under the curve: "
        + ", ".join(f"{curve.name} {curve.auroc:.3f}" for curve in curves)
        + ". Dots mark the served threshold.",
    )


def roc(inliers: Scores, outliers: Scores) -> NDArray[np.float64]:
    """Return the shares of inliers rejected and of outliers caught, `(p, 2)`, as the limit falls.

    Scores `(n,)` and `(m,)`; from (0, 0) to (1, 1), one point for every distinct score, of which
    one that is not a number is the highest.
    """
    limits = np.unique(np.concatenate([inliers, outliers]))[::-1]
    below = [np.searchsorted(np.sort(each), limits) / len(each) for each in (inliers, outliers)]
    return np.concatenate([[[0.0, 0.0]], 1 - np.stack(below, axis=-1)])


def simplified(points: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Return some of the points `(p, 2)`, the ends among them, that draw the same line.

    No point left out is further than `tolerance` from the line through those kept: the algorithm of
    Ramer, Douglas and Peucker.
    """
    start, end = points[0], points[-1]
    along = end - start
    aside = points - start
    distance = np.abs(along[0] * aside[:, 1] - along[1] * aside[:, 0]) / np.hypot(*along)
    far = int(distance.argmax())
    if distance[far] <= tolerance:
        return points[[0, -1]]
    before, after = simplified(points[: far + 1], tolerance), simplified(points[far:], tolerance)
    return np.concatenate([before[:-1], after])


def _served(curve: Curve, threshold: float, class_: str) -> Markup:
    place = PLANE.point(
        false_rejection_rate(curve.inliers, threshold),
        1 - missed_ood_rate(curve.outliers, threshold),
    )
    return dot(place, 3.5, f"served {class_}")
