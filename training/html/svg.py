"""The few SVG primitives that the charts are made of; coordinates are user units, y downwards."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from training.html.markup import Markup, element, number

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
