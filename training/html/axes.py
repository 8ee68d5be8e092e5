"""The plane that a chart is drawn in: what lies where, with its grid, ticks and labels."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.html import svg
from training.html.markup import Markup, joined

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

    def point(self, x: float, y: float) -> svg.Point:
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
            *(svg.line((left, y), (right, y), "grid") for y in rows),
            svg.line((left, bottom), (right, bottom), "axis"),
            *(svg.line((x, bottom), (x, bottom + 4), "axis") for x in columns),
            *(
                svg.label((left - 6, y + 4), text, "tick", anchor="end")
                for y, text in zip(rows, self.y.ticks.values(), strict=True)
            ),
            *(
                svg.label((x, bottom + 17), text, "tick", anchor="middle")
                for x, text in zip(columns, self.x.ticks.values(), strict=True)
            ),
            svg.label(((left + right) / 2, HEIGHT - 6), self.x.label, "measure", anchor="middle"),
            svg.upright_label((12, (top + bottom) / 2), self.y.label, "measure"),
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
