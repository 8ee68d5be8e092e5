"""A row of the table, its figures and their goals, and the helpers that rows share."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.serving.config import Config, Round
from benchmarks.serving.load.tally import Tally

Formula = Callable[[Round], float]
Summary = Callable[[Sequence[float]], float]

FAILED = "failed"
"""Measured values whose names begin with this word make a round doubtful unless they are 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """A bound that a figure should reach."""

    bound: float
    way: Literal["at least", "at most"]

    def text(self, form: str) -> str:
        """Return the goal, with the bound in the format string of its figure."""
        return ("≥ " if self.way == "at least" else "≤ ") + form.format(self.bound)

    def met(self, value: float) -> bool:
        """Return whether a value reaches the bound; NaN does not."""
        return value >= self.bound if self.way == "at least" else value <= self.bound


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        title: The description.
        formula: The figure of one round, so that only values of the same round are compared.
        form: The format string.
        goal: The goal, if there is one.
        over_rounds: Combines the rounds.
        of: The name of the measured total, for a figure that counts.
        light: Whether the goal applies to the light graph as well.
        light_goal: A goal of the light graph that differs.
        needs: A measured value without which the line is left out of the table.
    """

    title: str
    formula: Formula
    form: str = "{:.2f}"
    goal: Goal | None = None
    over_rounds: Summary = statistics.median
    of: str | None = None
    light: bool = True
    light_goal: Goal | None = None
    needs: str | None = None

    def goal_text(self) -> str:
        """Return the goals as the table states them."""
        if self.goal is None:
            return ""
        text = self.goal.text(self.form)
        return f"{text}, light {self.light_goal.text(self.form)}" if self.light_goal else text

    def goal_of(self, *, light: bool) -> Goal | None:
        """Return the goal of the shipped bundle or of the light graph, if it has one."""
        if not light:
            return self.goal
        return self.light_goal or (self.goal if self.light else None)

    def value(self, rounds: Sequence[Round]) -> float:
        """Return the figure over all rounds."""
        return self.over_rounds([self.formula(each) for each in rounds])

    def text(self, rounds: Sequence[Round]) -> str:
        """Return the formatted figure, with its minimum and maximum or with its total."""
        if self.of is not None:
            whole = sum(each[self.of] for each in rounds)
            return f"{self.form.format(self.value(rounds))} of {whole:,.0f}"
        values = sorted(self.formula(each) for each in rounds)
        spread = f" ({self.form.format(values[0])} to {self.form.format(values[-1])})"
        return self.form.format(self.value(rounds)) + (spread if len(values) > 1 else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Values that are measured together.

    Attributes:
        measure: Measures every round, with its parts interleaved.
        figures: The lines of the table.
        light: Whether the light graph is measured as well.
    """

    measure: Callable[[Config], list[Round]]
    figures: Sequence[Figure]
    light: bool = True


def at_least(bound: float) -> Goal:
    """Return a lower bound."""
    return Goal(bound=bound, way="at least")


def at_most(bound: float) -> Goal:
    """Return an upper bound."""
    return Goal(bound=bound, way="at most")


def ratio(above: str, below: str) -> Formula:
    """Return the formula of one measured value divided by another."""
    return lambda measured: measured[above] / measured[below]


def count(title: str, name: str, of: str) -> Figure:
    """Return a figure that sums a measured value whose goal is 0, out of a measured total."""
    return Figure(
        title=title,
        formula=lambda measured: measured[name],
        form="{:.0f}",
        goal=at_most(0),
        over_rounds=sum,
        of=of,
    )


def rate(call: Callable[[], object], duration_s: float) -> float:
    """Return the calls per second of a bare loop."""
    call()
    start = time.perf_counter()
    calls = 0
    while (elapsed := time.perf_counter() - start) < duration_s:
        call()
        calls += 1
    return calls / elapsed


def failures(tally: Tally, server: str = "") -> Round:
    """Return the number of failed requests; any value but 0 makes a rate doubtful."""
    return {f"{FAILED} {server}".strip(): float(tally.failed + tally.refused)}
