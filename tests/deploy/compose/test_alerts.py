"""Alerts of the running Prometheus arrive in the running Alertmanager."""

import pytest

from tests.deploy.compose import queries, traffic
from tests.deploy.compose.docker import wait_for
from tests.deploy.compose.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.deploy]


def test_flood_alert_fires_within_two_minutes_and_not_on_known_images(stack: Stack) -> None:
    list(traffic.send_steadily(stack, traffic.KNOWN, per_second=20, for_s=10))
    assert queries.alerts(stack) == set()
    took_s = traffic.send_until(
        lambda: "OODGuardFlood" in queries.alerts(stack), stack, traffic.UNKNOWN, within_s=120
    )
    assert took_s is not None
    print(f"OODGuardFlood after {took_s:.0f} s")  # noqa: T201 - quoted in the documentation


def test_down_alert_fires_when_the_guard_stops_and_ends_when_it_is_back(stack: Stack) -> None:
    stack.compose("stop", "guard")
    took_s = wait_for(lambda: "OODGuardDown" in queries.alerts(stack), "OODGuardDown", within_s=120)
    print(f"OODGuardDown after {took_s:.0f} s")  # noqa: T201 - quoted in the documentation
    stack.up()
    wait_for(lambda: queries.query(stack, 'up{job="oodguard"}') == [1.0], "a scrape", within_s=30)
    wait_for(
        lambda: queries.query(stack, 'count(ALERTS{alertname="OODGuardDown"})') == [],
        "the alert to end",
        within_s=30,
    )
