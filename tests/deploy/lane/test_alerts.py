"""Alerts that reach the real Alertmanager, by rules of the real Prometheus, from what happens."""

import pytest

from tests.deploy.lane import asking, traffic
from tests.deploy.lane.stack import Stack
from tests.deploy.lane.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.deploy]


def test_known_pictures_fire_nothing_and_a_flood_of_unknown_ones_fires_within_two_minutes(
    stack: Stack,
) -> None:
    list(traffic.steadily(stack, traffic.KNOWN, a_second=20, for_s=10))
    assert asking.alerts(stack) == set()
    took_s = traffic.until(
        lambda: "OODGuardFlood" in asking.alerts(stack), stack, traffic.UNKNOWN, within_s=120
    )
    assert took_s is not None
    print(f"OODGuardFlood after {took_s:.0f} s")  # noqa: T201 - a figure that is quoted


def test_a_guard_that_is_stopped_fires_and_one_that_is_back_does_not(stack: Stack) -> None:
    stack.compose("stop", "guard")
    took_s = wait_for(lambda: "OODGuardDown" in asking.alerts(stack), "OODGuardDown", within_s=120)
    print(f"OODGuardDown after {took_s:.0f} s")  # noqa: T201 - a figure that is quoted
    stack.up()
    wait_for(lambda: asking.now(stack, 'up{job="oodguard"}') == [1.0], "a scrape", within_s=30)
    wait_for(
        lambda: asking.now(stack, 'count(ALERTS{alertname="OODGuardDown"})') == [],
        "the alert to end",
        within_s=30,
    )
