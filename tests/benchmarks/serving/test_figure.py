"""Ratios are taken within a round; what is counted is summed."""

import math

from benchmarks.serving.rows.figure import Figure, at_least, at_most, ratio
from benchmarks.serving.rows.table import ROWS

ROUNDS = [
    {"ours": 10.0, "theirs": 5.0, "failed": 0.0, "requests": 400.0},
    {"ours": 4.0, "theirs": 1.0, "failed": 2.0, "requests": 600.0},
    {"ours": 9.0, "theirs": 3.0, "failed": 1.0, "requests": 500.0},
]


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    # 2, 4 and 3; the ratio of the medians would be 9 / 3 as well, so one round is left out too.
    figure = Figure(title="", formula=ratio("ours", "theirs"))
    assert figure.value(ROUNDS) == 3
    assert figure.value(ROUNDS[:2]) == 3
    assert figure.text(ROUNDS) == "3.00 (2.00 to 4.00)"
    assert figure.text(ROUNDS[:1]) == "2.00"


def test_failures_are_summed_and_say_out_of_how_many() -> None:
    figure = Figure(
        title="",
        formula=lambda measured: measured["failed"],
        form="{:.0f}",
        over_rounds=sum,
        of="requests",
    )
    assert figure.value(ROUNDS) == 3
    assert figure.text(ROUNDS) == "3 of 1,500"


def test_a_goal_is_a_bound_that_is_reached_by_itself() -> None:
    assert at_least(0.9).met(0.9)
    assert not at_least(0.9).met(0.89)
    assert at_most(50).met(50)
    assert not at_most(50).met(50.1)
    assert not at_least(0.9).met(math.nan)
    assert not at_most(50).met(math.nan)
    assert at_most(0.01).text("{:.0%}") == "≤ 1%"


def test_no_two_figures_say_the_same() -> None:
    titles = [figure.title for row in ROWS.values() for figure in row.figures]
    assert len(set(titles)) == len(titles)
