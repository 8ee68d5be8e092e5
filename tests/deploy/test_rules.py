"""Alerts say what to do, and fire when they should and at no other time."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.rules import ALERTS, DOCKER, RULES, UNIT_TESTS, read
from tests.deploy.shown import BOARDS, other_expressions, panel_expressions

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)
needs_amtool = pytest.mark.skipif(
    shutil.which("amtool") is None,
    reason="amtool is not installed (Debian: prometheus-alertmanager)",
)


def passes(*command: str | Path) -> str:
    """Run a command that must succeed; return what it said."""
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@needs_promtool
def test_prometheus_takes_its_configuration() -> None:
    passes("promtool", "check", "config", "--syntax-only", DOCKER / "prometheus/prometheus.yml")


@needs_promtool
def test_prometheus_takes_the_rules() -> None:
    passes("promtool", "check", "rules", *sorted(RULES.glob("*.yml")))


@needs_promtool
@pytest.mark.parametrize("file", sorted(file.name for file in UNIT_TESTS.glob("*.yml")))
def test_alerts_fire_when_they_should(file: str) -> None:
    passes("promtool", "test", "rules", UNIT_TESTS / file)


@needs_promtool
def test_prometheus_parses_what_the_boards_ask_for(tmp_path: Path) -> None:
    asked = [text for board in BOARDS.values() for _, text in panel_expressions(board)]
    rules = "".join(
        f"      - record: asked:{place}\n        expr: {text!r}\n".replace("\\'", "''")
        for place, text in enumerate(asked)
    )
    file = tmp_path / "asked.yml"
    file.write_text(f"groups:\n  - name: asked\n    rules:\n{rules}", encoding="utf-8")
    assert f"{len(asked)} rules found" in passes("promtool", "check", "rules", file)


@needs_promtool
def test_the_first_reload_of_a_model_is_marked_like_those_after_it(tmp_path: Path) -> None:
    # No series before the first reload at 2:00; the second is at 10:00.
    counted = 'oodguard_reloads_total{job="oodguard",instance="a",model="m",outcome="loaded"}'
    expression = dict(other_expressions(BOARDS["ood"]))["Bundle reloaded"]
    marked = {"labels": '{model="m", outcome="loaded"}', "value": 1}
    cases = [
        {"eval_time": time, "expr": f"({expression}) > bool 0", "exp_samples": samples}
        for time, samples in (
            ("1m", []),
            ("2m10s", [marked]),
            ("5m", []),
            ("10m10s", [marked]),
            ("13m", []),
        )
    ]
    series = {"series": counted, "values": "_x12 1x47 2x40"}
    test = {"interval": "10s", "input_series": [series], "promql_expr_test": cases}
    file = tmp_path / "marks.yml"
    file.write_text(yaml.safe_dump({"tests": [test]}), encoding="utf-8")
    passes("promtool", "test", "rules", file)


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    cases = [
        (case["alertname"], bool(case.get("exp_alerts")))
        for file in UNIT_TESTS.glob("*.yml")
        for test in read(file)["tests"]
        for case in test["alert_rule_test"]
    ]
    assert set(cases) == {(name, fires) for name in ALERTS for fires in (True, False)}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_what_is_wrong_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    assert "$value" in notes["description"]
    assert notes["runbook_url"] == f"docs/runbooks/{name}.md"


@needs_amtool
@pytest.mark.parametrize("file", ["alertmanager.yml", "webhook.yml"])
def test_alertmanager_takes_its_configuration(file: str) -> None:
    passes("amtool", "check-config", DOCKER / "alertmanager" / file)


@needs_amtool
@pytest.mark.parametrize(
    ("file", "severity", "receiver"),
    [
        ("alertmanager.yml", "critical", "nobody"),
        ("webhook.yml", "critical", "webhook"),
        ("webhook.yml", "warning", "webhook"),
        ("webhook.yml", "info", "nobody"),
    ],
)
def test_nobody_is_told_unless_somebody_asked_to_be(
    file: str, severity: str, receiver: str
) -> None:
    config = DOCKER / "alertmanager" / file
    told = passes(
        "amtool", "config", "routes", "test", "--config.file", config, f"severity={severity}"
    )
    assert told.split() == [receiver]


def test_inhibitions_name_alerts_that_exist() -> None:
    rules = read(DOCKER / "alertmanager/alertmanager.yml")["inhibit_rules"]
    for rule in rules:
        for matcher in [*rule["source_matchers"], *rule["target_matchers"]]:
            assert matcher.split('"')[1] in ALERTS
