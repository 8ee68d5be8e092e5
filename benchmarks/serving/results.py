"""What was measured of each row on each bundle: the raw rounds, or why there are none."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.serving.setting import Round

SHIPPED, LIGHT = "shipped", "light"


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One row on one bundle.

    Attributes:
        missing: Why it was not measured; empty where it was.
    """

    row: str
    graph: str
    rounds: Sequence[Round] = ()
    missing: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """All that one run of the harness measured, and on what."""

    machine: Mapping[str, str]
    measured: Sequence[Measured]

    def of(self, row: str, graph: str) -> Measured | None:
        """One row on one bundle, if it was asked for."""
        found = [each for each in self.measured if (each.row, each.graph) == (row, graph)]
        return found[0] if found else None

    def total(self, name: str) -> float | None:
        """The sum of a measured value over everything; None where nothing measured it."""
        values = [each[name] for one in self.measured for each in one.rounds if name in each]
        return sum(values) if values else None


def write(results: Results, file: Path) -> None:
    """Write everything as JSON."""
    file.write_text(json.dumps(asdict(results), indent=1) + "\n", encoding="utf-8")


def read(file: Path) -> Results:
    """Read what `write` wrote."""
    said = json.loads(file.read_text(encoding="utf-8"))
    return Results(
        machine=said["machine"], measured=[Measured(**each) for each in said["measured"]]
    )
