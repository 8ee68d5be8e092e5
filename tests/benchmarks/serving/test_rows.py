import math

import pytest

from benchmarks.serving.rows.disconnects import skipped
from benchmarks.serving.rows.figure import Figure, Goal, at_least, at_most, count, ratio
from benchmarks.serving.rows.single import over_the_best

ROUNDS = [
    {"ours": 10.0, "theirs": 5.0, "failed": 0.0, "requests": 400.0},
    {"ours": 4.0, "theirs": 1.0, "failed": 2.0, "requests": 600.0},
    {"ours": 9.0, "theirs": 3.0, "failed": 1.0, "requests": 500.0},
]


def test_figure_ratio_is_the_median_of_the_rounds_ratios() -> None:
    # 2, 4 and 3. The ratio of the medians would be 9 / 3 as well, so two rounds are tested too.
    figure = Figure(title="", formula=ratio("ours", "theirs"))
    assert figure.value(ROUNDS) == 3
    assert figure.value(ROUNDS[:2]) == 3
    assert figure.text(ROUNDS) == "3.00 (2.00 to 4.00)"
    assert figure.text(ROUNDS[:1]) == "2.00"


def test_figure_count_is_the_sum_and_its_total() -> None:
    figure = count("", "failed", "requests")
    assert figure.value(ROUNDS) == 3
    assert figure.text(ROUNDS) == "3 of 1,500"


@pytest.mark.parametrize(
    ("goal", "met", "missed", "text"),
    [(at_least(0.9), 0.9, 0.89, "≥ 90%"), (at_most(50), 50, 50.1, "≤ 5000%")],
)
def test_figure_goal_includes_its_bound(goal: Goal, met: float, missed: float, text: str) -> None:
    assert goal.met(met)
    assert not goal.met(missed)
    assert not goal.met(math.nan)
    assert goal.text("{:.0%}") == text


def test_disconnects_figure_counts_images_run_in_excess_of_the_responses() -> None:
    measured = {"images of disconnected clients": 192.0, "images answered": 700.0}
    found = [skipped({**measured, "images run": run}) for run in (700.0, 748.0, 892.0)]
    assert found == [1.0, 0.75, 0.0]


def test_single_figure_compares_with_the_fastest_python_server_of_the_round() -> None:
    measured = {"ours": 300.0, "litserve": 50.0, "bentoml": 100.0, "mlserver": 80.0, "mosec": 900.0}
    assert over_the_best(measured) == 3
