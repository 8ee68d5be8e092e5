"""The results as Markdown: the table, what made a figure doubtful, and the machine."""

import statistics
from collections.abc import Iterator

from benchmarks.serving.audit import DIFFERENCE
from benchmarks.serving.machine import LOAD_BEFORE, PROCESSORS
from benchmarks.serving.results import LIGHT, SHIPPED, Measured, Results
from benchmarks.serving.rows.figure import Figure
from benchmarks.serving.rows.rates import FAILED
from benchmarks.serving.rows.table import ROWS

MET, MISSED = "✓", "✗"

ABOUT = (
    "Median of the rounds, and the least and greatest; ✓ reaches the goal, ✗ does not. The light"
    " graph does next to nothing, so that its column shows the serving alone; where it has neither"
    " mark, the goal is one for a graph that takes its time."
)

# More than this before a run, for each processor, and something else was running.
IDLE_LOAD = 0.3


def markdown(results: Results) -> str:
    """The whole report."""
    lines = [ABOUT, "", "| what | goal | shipped bundle | light graph |", "|---|---|---|---|"]
    for name, row in ROWS.items():
        measured = [results.of(name, graph) for graph in (SHIPPED, LIGHT)]
        if any(measured):
            lines += [_line(figure, *measured) for figure in row.figures]
    lines += _counted(results)
    doubts = [f"- {doubt}" for doubt in _doubts(results)]
    if doubts:
        lines += ["", "Doubtful:", "", *doubts]
    lines += ["", "Medians of what was measured:", "", *_medians(results)]
    lines += ["", *(f"- {name}: {value}" for name, value in results.machine.items())]
    return "\n".join(lines) + "\n"


def _line(figure: Figure, shipped: Measured | None, light: Measured | None) -> str:
    goal = figure.goal.text(figure.form) if figure.goal else ""
    cells = [_cell(figure, shipped, held=True), _cell(figure, light, held=figure.light)]
    return f"| {figure.title} | {goal} | {' | '.join(cells)} |"


def _cell(figure: Figure, measured: Measured | None, *, held: bool) -> str:
    if measured is None:
        return ""
    if measured.missing:
        return f"not available: {measured.missing}"
    text = figure.text(measured.rounds)
    if figure.goal is None or not held:
        return text
    return f"{text} {MET if figure.goal.met(figure.value(measured.rounds)) else MISSED}"


def _counted(results: Results) -> list[str]:
    """The counters of every load of our service, over the whole run."""
    difference = results.total(DIFFERENCE)
    if difference is None:
        return []
    mark = MET if difference == 0 else MISSED
    title = "requests and images that counters and clients count differently, over all loads"
    return [f"| {title} | 0 | {difference:.0f} {mark} | |"]


def _doubts(results: Results) -> Iterator[str]:
    before = results.machine.get(LOAD_BEFORE, "0")
    if float(before) > IDLE_LOAD * float(results.machine.get(PROCESSORS, "1")):
        yield f"the machine was busy before: its load was {before}"
    for one in results.measured:
        for turn, measured in enumerate(one.rounds, 1):
            for name, value in measured.items():
                if value and (name.startswith((FAILED, "broken")) or name == DIFFERENCE):
                    yield f"{one.row}, {one.graph}, round {turn}: {value:.0f} {name}"


def _medians(results: Results) -> list[str]:
    lines = ["| row | measured | shipped bundle | light graph |", "|---|---|---|---|"]
    for row in ROWS:
        medians = [_each_median(results.of(row, graph)) for graph in (SHIPPED, LIGHT)]
        for name in dict.fromkeys(name for each in medians for name in each):
            cells = [f"{each[name]:.4g}" if name in each else "" for each in medians]
            lines.append(f"| {row} | {name} | {' | '.join(cells)} |")
    return lines


def _each_median(measured: Measured | None) -> dict[str, float]:
    rounds = measured.rounds if measured else ()
    names = dict.fromkeys(name for each in rounds for name in each)
    return {name: statistics.median(each.get(name, 0.0) for each in rounds) for name in names}
