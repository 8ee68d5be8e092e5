"""ROC curves: out-of-distribution images caught against in-distribution images rejected."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evidence import Evidence
from training.html import svg
from training.html.axes import HEIGHT, SHARES, WIDTH, Axis, Plane
from training.html.legend import budget, legend, level
from training.html.markup import Markup
from training.html.section import charts, paragraph, section
from training.metrics import Scores, false_rejection_rate, missed_ood_rate
from training.report import Report

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


def roc_section(report: Report, evidence: Evidence) -> Markup:
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
    return svg.drawing(
        PLANE.axes(),
        svg.polyline([PLANE.point(0, 0), PLANE.point(1, 1)], "chance"),
        *(
            svg.polyline(
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
    return svg.dot(place, 3.5, f"served {class_}")
