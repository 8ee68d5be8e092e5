"""Alertmanager sends one notification per cause: less severe alerts are inhibited."""

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence

import httpx2
import pytest

from benchmarks.serving.processes import free_port
from tests.deploy.rules import ALERTS, DOCKER

TIMEOUT_S = 60
MODEL = {"model": "m", "version": "1"}
SERVICE = {"job": "oodguard"}


@pytest.fixture(scope="module", params=["alertmanager.yml", "webhook.yml"])
def alertmanager(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of an Alertmanager with a shipped configuration."""
    # Debian's name, and the one of the project's own releases.
    commands = ("prometheus-alertmanager", "alertmanager")
    command = next(filter(None, map(shutil.which, commands)), None)
    if command is None:
        pytest.skip("Alertmanager is not installed (Debian: prometheus-alertmanager)")
    port = free_port()
    arguments = [
        f"--config.file={DOCKER / 'alertmanager' / request.param}",
        f"--storage.path={tmp_path_factory.mktemp('alertmanager')}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with subprocess.Popen([command, *arguments], stderr=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url)
            yield url
        finally:
            process.kill()


def _wait_until_ready(url: str) -> None:
    end = time.monotonic() + TIMEOUT_S
    while True:
        try:
            if httpx2.get(f"{url}/-/ready").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        assert time.monotonic() < end
        time.sleep(0.05)


def active(url: str, alerts: Sequence[str], labels: Mapping[str, str]) -> set[str]:
    """Raise alerts, and return those that are not inhibited."""
    raised = [{"labels": {**labels, "alertname": f"OODGuard{name}"}} for name in alerts]
    httpx2.post(f"{url}/api/v2/alerts", json=raised).raise_for_status()
    matchers = [f'{name}="{value}"' for name, value in labels.items()]
    found = httpx2.get(f"{url}/api/v2/alerts", params={"filter": matchers}).json()
    assert {each["labels"]["alertname"] for each in found} == {f"OODGuard{name}" for name in alerts}
    return {
        each["labels"]["alertname"].removeprefix("OODGuard")
        for each in found
        if not each["status"]["inhibitedBy"]
    }


@pytest.mark.parametrize(
    ("alerts", "labels", "expected"),
    [
        # Black frames.
        pytest.param(
            [
                *("Flood", "RejectionRate", "RejectionsProven", "Drift", "DriftAlarm"),
                *("ClassTakeover", "ScoreShift"),
            ],
            MODEL,
            {"Flood"},
            id="flood",
        ),
        pytest.param(
            ["RejectionRate", "RejectionsProven", "Drift", "DriftAlarm", "ClassTakeover"],
            {**MODEL, "model": "after"},
            {"RejectionsProven", "ClassTakeover"},
            id="after a flood",
        ),
        pytest.param(
            ["Drift", "DriftAlarm", "ScoreShift"],
            {**MODEL, "model": "drifting"},
            {"Drift"},
            id="drift",
        ),
        pytest.param(
            ["ErrorBudgetBurnFast", "ErrorBudgetBurnSlow", "Shedding", "Saturated", "Slow"],
            {**SERVICE, "job": "overloaded"},
            {"ErrorBudgetBurnFast"},
            id="overload",
        ),
        pytest.param(
            ["Down", "NoTraffic", "Restarts", "Shedding"],
            {**SERVICE, "job": "down"},
            {"Down", "Shedding"},
            id="down",
        ),
    ],
)
def test_one_cause_has_one_active_alert(
    alertmanager: str, alerts: Sequence[str], labels: Mapping[str, str], expected: set[str]
) -> None:
    assert {f"OODGuard{name}" for name in alerts} <= set(ALERTS)
    assert active(alertmanager, alerts, labels) == expected


def test_flood_inhibits_other_versions_and_no_other_model(alertmanager: str) -> None:
    # A shadow model, such as another version, predicts a share of the same images.
    assert active(alertmanager, ["Flood"], {"model": "a", "version": "1"}) == {"Flood"}
    assert active(alertmanager, ["Drift"], {"model": "b", "version": "1"}) == {"Drift"}
    shadow = {"model": "a", "version": "2"}
    assert active(alertmanager, ["RejectionsProven", "Drift", "DriftAlarm"], shadow) == set()


def test_one_cause_in_several_models_has_one_notification(alertmanager: str) -> None:
    for version in ("5", "6"):
        assert active(alertmanager, ["Flood"], {"model": "g", "version": version}) == {"Flood"}
    groups = httpx2.get(f"{alertmanager}/api/v2/alerts/groups").json()
    floods = [each for each in groups if each["labels"].get("alertname") == "OODGuardFlood"]
    assert len(floods) == 1
    assert {"5", "6"} <= {each["labels"]["version"] for each in floods[0]["alerts"]}
