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
    # The flood lasts until the alerts that follow from it fire as well.
    others = {"OODGuardRejectionsProven", "OODGuardDrift"}
    traffic.send_until(
        lambda: others <= {each["labels"]["alertname"] for each in queries.all_alerts(stack)},
        stack,
        traffic.UNKNOWN,
        within_s=180,
    )
    assert queries.alerts(stack) == {"OODGuardFlood"}
    (flood,) = (
        each for each in queries.all_alerts(stack) if each["labels"]["alertname"] == "OODGuardFlood"
    )
    runbook = "http://localhost:3000/public/runbooks/OODGuardFlood.md"
    assert flood["annotations"]["runbook_url"] == runbook
    assert flood["generatorURL"].startswith("http://localhost:9090/graph?")
    assert "runbooks" not in flood["labels"]


def test_amtool_in_the_container_silences_an_alert(stack: Stack) -> None:
    """Continues after the flood."""
    amtool = (
        "exec",
        "--no-TTY",
        "alertmanager",
        "amtool",
        "--alertmanager.url=http://localhost:9093",
    )
    assert "OODGuardFlood" in queries.alerts(stack)
    words = ("--duration=5m", "--author=test", "--comment=test")
    silence = stack.compose(*amtool, "silence", "add", "alertname=OODGuardFlood", *words).strip()
    assert "OODGuardFlood" not in queries.alerts(stack)
    stack.compose(*amtool, "silence", "expire", silence)
    wait_for(
        lambda: "OODGuardFlood" in queries.alerts(stack), "the end of the silence", within_s=30
    )


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
