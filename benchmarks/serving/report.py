"""The results of a run, and the report in Markdown: table, doubtful rounds, medians, machine."""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.serving.audit import DIFFERENCE
from benchmarks.serving.config import Round
from benchmarks.serving.machine import BUNDLE, CPUS, LOAD_BEFORE
from benchmarks.serving.rows import ROWS
from benchmarks.serving.rows.figure import FAILED, Figure, Goal

SHIPPED, LIGHT = "shipped", "light"
MET, MISSED = "✓", "✗"

ABOUT = (
    "Median of the rounds, with minimum and maximum; ✓ reaches the goal, ✗ does not. The goals are"
    " those of an INT8 bundle. The light graph does almost no work, so its column shows the cost of"
    " serving alone. A figure without a mark in that column has a goal that applies to the bundle"
    " only."
)

# A higher load per CPU before the run means that something else was running.
IDLE_LOAD = 0.3


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One row on one bundle.

    Attributes:
        missing: The reason why the row was not measured; empty if it was.
    """

    row: str
    graph: str
    rounds: Sequence[Round] = ()
    missing: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """All measurements of one run of the harness, and the machine."""

    machine: Mapping[str, str]
    measured: Sequence[Measured]

    def of(self, row: str, graph: str) -> Measured | None:
        """Return one row on one bundle, or None if it was not selected."""
        found = [each for each in self.measured if (each.row, each.graph) == (row, graph)]
        return found[0] if found else None

    @property
    def graphs(self) -> list[str]:
        """The measured graphs, in the order of the table's columns."""
        return [
            graph for graph in (SHIPPED, LIGHT) if graph in {one.graph for one in self.measured}
        ]

    def title(self, graph: str) -> str:
        """Return the name of the bundle, or of the light graph."""
        return "light graph" if graph == LIGHT else self.machine.get(BUNDLE, "shipped bundle")

    def total(self, name: str) -> float | None:
        """Return the sum of a measured value over all rounds, or None if no round has it."""
        values = [each[name] for one in self.measured for each in one.rounds if name in each]
        return sum(values) if values else None


def write(results: Results, file: Path) -> None:
    """Write the results as JSON."""
    file.write_text(json.dumps(asdict(results), indent=1) + "\n", encoding="utf-8")


def read(file: Path) -> Results:
    """Read a file of `write`."""
    content = json.loads(file.read_text(encoding="utf-8"))
    measured = [Measured(**each) for each in content["measured"]]
    return Results(machine=content["machine"], measured=measured)


def markdown(results: Results) -> str:
    """Return the whole report."""
    lines = [ABOUT, "", *_head(results, "measurement", "goal")]
    for name, row in ROWS.items():
        measured = {graph: results.of(name, graph) for graph in results.graphs}
        if any(measured.values()):
            lines += [
                _line(figure, measured) for figure in row.figures if _is_measured(figure, measured)
            ]
    lines += _counted(results)
    doubts = [f"- {doubt}" for doubt in _doubts(results)]
    if doubts:
        lines += ["", "Doubtful:", "", *doubts]
    lines += ["", "Medians of the measured values:", "", *_medians(results)]
    lines += ["", *(f"- {name}: {value}" for name, value in results.machine.items())]
    return "\n".join(lines) + "\n"


def _head(results: Results, *columns: str) -> list[str]:
    names = [*columns, *(results.title(graph) for graph in results.graphs)]
    return [f"| {' | '.join(names)} |", "|" + len(names) * "---|"]


def _is_measured(figure: Figure, measured: Mapping[str, Measured | None]) -> bool:
    rounds = [each for one in measured.values() if one for each in one.rounds]
    return figure.needs is None or any(figure.needs in each for each in rounds)


def _line(figure: Figure, measured: Mapping[str, Measured | None]) -> str:
    cells = [
        _cell(figure, one, figure.goal_of(light=graph == LIGHT)) for graph, one in measured.items()
    ]
    return f"| {' | '.join([figure.title, figure.goal_text(), *cells])} |"


def _cell(figure: Figure, measured: Measured | None, goal: Goal | None) -> str:
    if measured is None:
        return ""
    if measured.missing:
        return f"not available: {measured.missing}"
    text = figure.text(measured.rounds)
    if goal is None:
        return text
    return f"{text} {MET if goal.met(figure.value(measured.rounds)) else MISSED}"


def _counted(results: Results) -> list[str]:
    """Return the line about the counters, over all loads of the service."""
    difference = results.total(DIFFERENCE)
    if difference is None:
        return []
    mark = MET if difference == 0 else MISSED
    title = "requests and images that counters and clients count differently, over all loads"
    return [f"| {title} | 0 | {difference:.0f} {mark} |" + (len(results.graphs) - 1) * " |"]


def _doubts(results: Results) -> Iterator[str]:
    before = results.machine.get(LOAD_BEFORE, "0")
    if float(before) > IDLE_LOAD * float(results.machine.get(CPUS, "1")):
        yield f"the machine was busy before the run: its load was {before}"
    for one in results.measured:
        for number, measured in enumerate(one.rounds, 1):
            for name, value in measured.items():
                if value and (name.startswith((FAILED, "broken")) or name == DIFFERENCE):
                    yield f"{one.row}, {one.graph}, round {number}: {value:.0f} {name}"


def _medians(results: Results) -> list[str]:
    lines = _head(results, "row", "value")
    for row in ROWS:
        medians = [_medians_of(results.of(row, graph)) for graph in results.graphs]
        for name in dict.fromkeys(name for each in medians for name in each):
            cells = [f"{each[name]:.4g}" if name in each else "" for each in medians]
            lines.append(f"| {row} | {name} | {' | '.join(cells)} |")
    return lines


def _medians_of(measured: Measured | None) -> dict[str, float]:
    rounds = measured.rounds if measured else ()
    names = dict.fromkeys(name for each in rounds for name in each)
    return {name: statistics.median(each.get(name, 0.0) for each in rounds) for name in names}
