"""Security curves: AUROC over the attack budget, with confidence intervals."""

from collections.abc import Mapping
from dataclasses import dataclass

from training.html import svg
from training.html.axes import HEIGHT, SHARES, WIDTH, Axis, Plane
from training.html.legend import budget
from training.html.markup import Markup, joined
from training.html.section import charts, paragraph, section
from training.report import Interval, Report

CHANCE = 0.5
MEAN = "mean of all sets"


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """The AUROC at one attack budget, in 255ths of the pixel range, and its interval if known."""

    epsilon_255: float
    auroc: float
    interval: tuple[float, float] | None = None


Curve = tuple[Point, ...]


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


def security_curves(report: Report) -> dict[str, Curve]:
    """Return the curve of the mean and of every set by its name."""

    def point(epsilon_255: float, auroc: float, interval: Interval) -> Point:
        return Point(epsilon_255=epsilon_255, auroc=auroc, interval=(interval.low, interval.high))

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


def security_chart(curves: Mapping[str, Curve], *, focus: str, key: str) -> Markup:
    """Draw the curve named `focus` with its intervals, all others faint behind it."""
    plane = plane_of(curves)
    drawn = curves[focus]
    return svg.drawing(
        plane.axes(),
        svg.line(plane.point(0, CHANCE), plane.point(plane.x.high, CHANCE), "chance"),
        *(
            svg.polyline(points_of(plane, curve), "curve other")
            for name, curve in curves.items()
            if name != focus
        ),
        _band(plane, drawn),
        svg.polyline(points_of(plane, drawn), "curve focus"),
        *(svg.dot(plane.point(p.epsilon_255, p.auroc), 3.5, "focus") for p in drawn),
        key=key,
        width=WIDTH,
        height=HEIGHT,
        title=f"AUROC over the attack budget, {focus}",
        description=", ".join(_words(point) for point in drawn),
    )


def plane_of(curves: Mapping[str, Curve]) -> Plane:
    """Return the plane that holds all budgets of the curves."""
    budgets = sorted({point.epsilon_255 for curve in curves.values() for point in curve})
    ticks = {epsilon_255: f"{epsilon_255:g}" for epsilon_255 in budgets}
    return Plane(
        x=Axis(low=0, high=budgets[-1] or 1, label="epsilon, in 255ths", ticks=ticks),
        y=Axis(low=0, high=1, label="AUROC", ticks=SHARES),
    )


def points_of(plane: Plane, curve: Curve) -> list[svg.Point]:
    """Return where a curve's points lie."""
    return [plane.point(point.epsilon_255, point.auroc) for point in curve]


def _band(plane: Plane, curve: Curve) -> Markup:
    known = [(point.epsilon_255, *point.interval) for point in curve if point.interval]
    lower = [plane.point(x, low) for x, low, _ in known]
    upper = [plane.point(x, high) for x, _, high in known]
    return joined(
        svg.polygon([*lower, *reversed(upper)], "band") if known else "",
        *(svg.line(a, b, "whisker") for a, b in zip(lower, upper, strict=True)),
    )


def _words(point: Point) -> str:
    interval = f" ({point.interval[0]:.3f} to {point.interval[1]:.3f})" if point.interval else ""
    return f"{budget(point.epsilon_255)}: {point.auroc:.3f}{interval}"
