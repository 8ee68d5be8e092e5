"""One figure of the table: how it comes from the rounds, and what it should reach."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.serving.setting import Round, Setting

Formula = Callable[[Round], float]
Summary = Callable[[Sequence[float]], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """What a figure should reach."""

    bound: float
    way: Literal["at least", "at most"]

    def text(self, form: str) -> str:
        """The bound as a figure of that form is written."""
        return ("≥ " if self.way == "at least" else "≤ ") + form.format(self.bound)

    def met(self, value: float) -> bool:
        """Whether a figure reaches it; NaN does not."""
        return value >= self.bound if self.way == "at least" else value <= self.bound


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        title: What it says.
        formula: From what was measured in one round, so that only values of one round are compared.
        form: How it is written, as a format string.
        goal: What it should reach, if anything.
        over_rounds: How the rounds become one figure.
        of: The measured count that a counted figure is out of.
        light: Whether the goal is held against the light graph as well.
    """

    title: str
    formula: Formula
    form: str = "{:.2f}"
    goal: Goal | None = None
    over_rounds: Summary = statistics.median
    of: str | None = None
    light: bool = True

    def value(self, rounds: Sequence[Round]) -> float:
        """The figure over all rounds."""
        return self.over_rounds([self.formula(each) for each in rounds])

    def text(self, rounds: Sequence[Round]) -> str:
        """The figure as it is written, with its least and greatest round, or with what it is of."""
        if self.of is not None:
            whole = sum(each[self.of] for each in rounds)
            return f"{self.form.format(self.value(rounds))} of {whole:,.0f}"
        values = sorted(self.formula(each) for each in rounds)
        spread = f" ({self.form.format(values[0])} to {self.form.format(values[-1])})"
        return self.form.format(self.value(rounds)) + (spread if len(values) > 1 else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What is measured together.

    Attributes:
        measure: Measures every round, its parts interleaved.
        figures: What is told of it.
        light: Whether the light graph is measured as well.
    """

    measure: Callable[[Setting], list[Round]]
    figures: Sequence[Figure]
    light: bool = True


def at_least(bound: float) -> Goal:
    """A lower bound."""
    return Goal(bound=bound, way="at least")


def at_most(bound: float) -> Goal:
    """An upper bound."""
    return Goal(bound=bound, way="at most")


def ratio(above: str, below: str) -> Formula:
    """One measured value over another."""
    return lambda measured: measured[above] / measured[below]
