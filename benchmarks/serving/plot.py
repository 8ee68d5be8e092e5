"""Plot the requests per second of each server, for the README."""

import statistics
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from benchmarks.serving.report import LIGHT, SHIPPED, Results
from benchmarks.serving.servers import ONE_WORKER, OURS
from oodguard.training.report.svg import new_figure, svg_document

NAMES = {
    OURS: "OOD Guard",
    ONE_WORKER: "one worker",
    "litserve": "LitServe",
    "bentoml": "BentoML",
    "mlserver": "MLServer",
    "mosec": "mosec",
    "starlette": "a constant",
}
Panel = Mapping[str, Sequence[float]]
"""Requests per second in every round, by server."""


def svg_of(results: Results) -> str | None:
    """Return the plot of the row `single` as SVG, or None if the row was not measured."""
    figure = figure_of(results)
    return None if figure is None else svg_document(figure)


def figure_of(results: Results) -> Figure | None:
    """Draw one panel for each measured graph: the median of the rounds and their range."""
    panels = {graph: panel for graph in (SHIPPED, LIGHT) if (panel := _panel(results, graph))}
    if not panels:
        return None
    figure = new_figure(90 + 340 * len(panels), 230)
    figure.patch.set(visible=True, facecolor="#ffffff")
    columns = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    figure.subplots_adjust(left=90 / (90 + 340 * len(panels)), right=0.98, top=0.88, bottom=0.2)
    for axes, (graph, panel) in zip(columns, panels.items(), strict=True):
        axes.set_title(results.title(graph), loc="left", fontsize=12, fontweight="bold")
        _draw(axes, panel)
    return figure


def _panel(results: Results, graph: str) -> Panel:
    measured = results.of("single", graph)
    if measured is None or not measured.rounds:
        return {}
    return {name: [each[name] for each in measured.rounds] for name in NAMES}


def _draw(axes: Axes, panel: Panel) -> None:
    axes.set_xscale("log")
    axes.set_yticks(range(len(NAMES)), list(NAMES.values()), fontsize=12)
    axes.set_ylim(len(NAMES) - 0.5, -0.5)
    axes.margins(x=0.2)  # room for the figures
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("requests per second", fontsize=11)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=11)
    axes.tick_params(which="minor", length=0, labelbottom=False)
    axes.spines[:].set_visible(False)
    for row, name in enumerate(NAMES):
        rates = panel[name]
        median = statistics.median(rates)
        axes.hlines(row, min(rates), max(rates), color="#88aaaa", linewidth=3)
        axes.plot(
            median,
            row,
            "o",
            color="#b3261e" if name in {OURS, ONE_WORKER} else "#557777",
            markersize=9,
        )
        axes.annotate(
            f"{median:,.0f}",
            (max(rates), row),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            fontsize=11,
            color="#666666",
        )
