"""How many requests a second each server answers, as a picture that a README can show."""

import math
import statistics
from collections.abc import Mapping, Sequence

from benchmarks.serving.contenders import OURS
from benchmarks.serving.peers.registry import PEERS
from benchmarks.serving.results import LIGHT, SHIPPED, Results
from oodguard.training.report import charts as svg
from oodguard.training.report.html_helpers import Markup, element, joined

PANEL, LEFT, TOP, ROW, BOTTOM = 300.0, 84.0, 34.0, 26.0, 40.0
GAP = 44.0

NAMES = {
    OURS: "OOD Guard",
    "litserve": "LitServe",
    "bentoml": "BentoML",
    "mlserver": "MLServer",
    "mosec": "mosec",
    "starlette": "a constant",
}
TITLES = {SHIPPED: "shipped bundle", LIGHT: "light graph"}

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #222 }
.title { font-weight: 600 } .tick { fill: #666; font-size: 11px }
.paper { fill: #fff } .grid { stroke: #ddd } .spread { stroke: #8aa; stroke-width: 3 }
.dot { fill: #577 } .ours { fill: #b3261e }
"""

Panel = Mapping[str, Sequence[float]]
"""Answers a second in every round, by server."""


def svg_of(results: Results) -> str | None:
    """Draw the row `single`; None where it was not measured."""
    panels = {graph: panel for graph in TITLES if (panel := _panel(results, graph))}
    if not panels:
        return None
    width = LEFT + len(panels) * (PANEL + GAP)
    height = TOP + ROW * len(NAMES) + BOTTOM
    values = [value for panel in panels.values() for row in panel.values() for value in row]
    scale = _Scale(min(values), max(values))
    drawn = [
        _drawn(panel, TITLES[graph], LEFT + index * (PANEL + GAP), scale)
        for index, (graph, panel) in enumerate(panels.items())
    ]
    names = [
        svg.label((LEFT - 10, TOP + ROW * (place + 0.5) + 4), NAMES[name], "name", anchor="end")
        for place, name in enumerate(NAMES)
    ]
    return element(
        "svg",
        element("style", Markup(STYLE)),
        svg.rectangle((0, 0), width, height, "paper"),
        *names,
        *drawn,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
    )


class _Scale:
    """Rates to places on a logarithmic axis that begins and ends at a power of ten."""

    def __init__(self, least: float, greatest: float) -> None:
        self.low = math.floor(math.log10(max(least, 1.0)))
        self.high = max(self.low + 1, math.ceil(math.log10(max(greatest, 1.0))))

    def place(self, left: float, value: float) -> float:
        share = (math.log10(max(value, 10.0**self.low)) - self.low) / (self.high - self.low)
        return left + share * PANEL


def _panel(results: Results, graph: str) -> Panel:
    measured = results.of("single", graph)
    if measured is None or not measured.rounds:
        return {}
    return {name: [each[name] for each in measured.rounds] for name in (OURS, *PEERS)}


def _drawn(panel: Panel, title: str, left: float, scale: _Scale) -> Markup:
    bottom = TOP + ROW * len(NAMES)
    ticks = [10.0**power for power in range(scale.low, scale.high + 1)]
    return joined(
        svg.label((left, TOP - 14), title, "title"),
        *(svg.line(*_upright(scale.place(left, tick), bottom), "grid") for tick in ticks),
        *(
            svg.label(
                (scale.place(left, tick), bottom + 16), f"{tick:,.0f}", "tick", anchor="middle"
            )
            for tick in ticks
        ),
        svg.label((left + PANEL / 2, bottom + 33), "answers a second", "tick", anchor="middle"),
        *(_row(panel[name], place, name, left, scale) for place, name in enumerate(NAMES)),
    )


def _upright(x: float, bottom: float) -> tuple[svg.Point, svg.Point]:
    return (x, TOP), (x, bottom)


def _row(rates: Sequence[float], place: int, name: str, left: float, scale: _Scale) -> Markup:
    y = TOP + ROW * (place + 0.5)
    median = statistics.median(rates)
    middle = scale.place(left, median)
    ends = [scale.place(left, rate) for rate in (min(rates), max(rates))]
    # Beside the dot there is room on its left only where it stands far to the right.
    right = middle > left + PANEL * 0.8
    return joined(
        svg.line((ends[0], y), (ends[1], y), "spread"),
        svg.dot((middle, y), 4.5, "ours" if name == OURS else "dot"),
        svg.label(
            (ends[0] - 9 if right else ends[1] + 9, y + 4),
            f"{median:,.0f}",
            "tick",
            anchor="end" if right else "start",
        ),
    )
