"""What the boards show of real traffic, asked of the real Prometheus."""

from functools import partial

import pytest

from tests.deploy.lane import asking, renewing, traffic
from tests.deploy.lane.stack import Stack
from tests.deploy.lane.waiting import wait_for
from tests.deploy.shown import BOARDS, other_expressions, panel_expressions

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

ASKED = [
    pytest.param(expression, id=f"{name}: {title} ({number})")
    for name, board in BOARDS.items()
    for number, (title, expression) in enumerate(panel_expressions(board))
]
# The version that takes over while the boards are looked at.
NEXT = "2"


@pytest.fixture(scope="module")
def watched(stack: Stack) -> Stack:
    """The stack after pictures of every kind, some of them rejected, and a new version."""
    stack.up()
    decisions = list(traffic.steadily(stack, traffic.MIXED, a_second=20, for_s=25))
    assert set(decisions) == {"accept", "reject"}
    assert len(decisions) >= len(traffic.MIXED)
    renewing.renew(stack, version=NEXT)
    list(traffic.steadily(stack, traffic.MIXED, a_second=20, for_s=12))
    # What is recorded comes every 15 s, and of distributions once a minute.
    for recorded in (f'oodguard:rejected:ratio30m{{version="{NEXT}"}}', "oodguard:score:cdf1h"):
        wait_for(partial(asking.now, stack, recorded), recorded, within_s=75)
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


@pytest.mark.parametrize("board", BOARDS)
def test_a_reload_is_marked_with_what_came_of_it_and_what_is_served_since(
    watched: Stack, board: str
) -> None:
    marks = dict(other_expressions(BOARDS[board]))
    assert marked(watched, marks["Bundle reloaded"]) == [
        {"model": renewing.BUNDLE, "outcome": "loaded"}
    ]
    served = {"model": renewing.BUNDLE, "version": NEXT, "provider": "CPUExecutionProvider"}
    assert served in marked(watched, marks["Bundle served"])


@pytest.mark.parametrize("board", BOARDS)
def test_a_choice_offers_what_was_served_and_what_is(watched: Stack, board: str) -> None:
    asked = dict(other_expressions(BOARDS[board]))
    models = asking.lately(watched, asked["model"], window_s=60)
    versions = asking.lately(watched, asked["version"], window_s=60)
    assert {each["metric"]["model"] for each in models} == {renewing.BUNDLE}
    assert {each["metric"]["version"] for each in versions} == {"1", NEXT}


def marked(stack: Stack, expression: str) -> list[dict[str, str]]:
    """The labels of the marks that a board draws for the last minutes."""
    series = asking.lately(stack, expression, window_s=180)
    assert asking.infinite(series) == 0
    return [each["metric"] for each in series]
