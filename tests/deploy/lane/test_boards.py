"""What the boards show of real traffic, asked of the real Prometheus."""

import pytest

from tests.deploy.lane import asking, traffic
from tests.deploy.lane.stack import Stack
from tests.deploy.lane.waiting import wait_for
from tests.deploy.shown import BOARDS, other_expressions, panel_expressions

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

ASKED = [
    pytest.param(expression, id=f"{name}: {title} ({number})")
    for name, board in BOARDS.items()
    for number, (title, expression) in enumerate(panel_expressions(board))
]
OTHERS = [
    pytest.param(expression, id=f"{name}: {title}")
    for name, board in BOARDS.items()
    for title, expression in other_expressions(board)
]


@pytest.fixture(scope="module")
def watched(stack: Stack) -> Stack:
    """The stack after pictures of every kind, some of them rejected and some not."""
    stack.up()
    decisions = list(traffic.steadily(stack, traffic.MIXED, a_second=20, for_s=25))
    assert set(decisions) == {"accept", "reject"}
    assert len(decisions) >= len(traffic.MIXED)
    # The rules that record distributions are evaluated once a minute.
    wait_for(
        lambda: bool(asking.now(stack, "oodguard:score:cdf1h")), "what is recorded", within_s=75
    )
    return stack


def test_every_target_is_up(watched: Stack) -> None:
    assert asking.targets(watched) == {
        "oodguard": "up",
        "prometheus": "up",
        "alertmanager": "up",
    }


def test_every_rule_can_be_evaluated(watched: Stack) -> None:
    assert asking.ill_rules(watched) == []


@pytest.mark.parametrize("expression", ASKED)
def test_a_panel_shows_finite_series(watched: Stack, expression: str) -> None:
    series = asking.lately(watched, expression, window_s=10)
    assert series
    assert asking.infinite(series) == 0


@pytest.mark.parametrize("expression", OTHERS)
def test_a_mark_or_a_variable_can_be_asked_for(watched: Stack, expression: str) -> None:
    assert asking.infinite(asking.lately(watched, expression, window_s=10)) == 0
