"""The alert rules fire when they should, and the configurations are valid."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.board_files import BOARDS, other_expressions, panel_expressions
from tests.deploy.rules import ALERTS, DOCKER, RULES, UNIT_TESTS, read

# Debian's packages of the commands.
PACKAGES = {"promtool": "prometheus", "amtool": "prometheus-alertmanager"}


def run(*command: str | Path) -> str:
    """Run a command, require success and return its output; skip the test without the command."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed (Debian: {PACKAGES[str(command[0])]})")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    run("promtool", "check", "config", "--syntax-only", DOCKER / "prometheus/prometheus.yml")
    run("promtool", "check", "rules", *sorted(RULES.glob("*.yml")))


@pytest.mark.parametrize("file", sorted(file.name for file in UNIT_TESTS.glob("*.yml")))
def test_alerts_fire_as_in_their_unit_tests(file: str) -> None:
    run("promtool", "test", "rules", UNIT_TESTS / file)


def test_promtool_parses_the_expressions_of_the_boards(tmp_path: Path) -> None:
    expressions = [text for board in BOARDS.values() for _, text in panel_expressions(board)]
    rules = "".join(
        f"      - record: board:{place}\n        expr: {text!r}\n".replace("\\'", "''")
        for place, text in enumerate(expressions)
    )
    file = tmp_path / "boards.yml"
    file.write_text(f"groups:\n  - name: boards\n    rules:\n{rules}", encoding="utf-8")
    assert f"{len(expressions)} rules found" in run("promtool", "check", "rules", file)


def test_reload_annotation_marks_the_first_reload_like_later_ones(tmp_path: Path) -> None:
    # The series begins with 0; reloads are at 2:00 and at 10:00.
    counter = 'oodguard_reloads_total{job="oodguard",instance="a",model="m",outcome="loaded"}'
    expression = dict(other_expressions(BOARDS["ood"]))["Bundle or policy reloaded"]
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
    series = {"series": counter, "values": "0x11 1x47 2x40"}
    test = {"interval": "10s", "input_series": [series], "promql_expr_test": cases}
    file = tmp_path / "annotations.yml"
    file.write_text(yaml.safe_dump({"tests": [test]}), encoding="utf-8")
    run("promtool", "test", "rules", file)


def test_failed_share_on_the_board_is_0_without_requests(tmp_path: Path) -> None:
    # 1 of 10 requests fails until 10:00, then there are none.
    counter = 'oodguard_requests_total{job="oodguard",route="/predict",code="%s"}'
    series = [
        {"series": counter % "200", "values": "0+9x40 360x80"},
        {"series": counter % "503", "values": "0+1x40 40x80"},
    ]
    shares = [text for _, text in panel_expressions(BOARDS["overview"]) if "ratio5m" in text]
    assert len(shares) == 2
    cases = [
        {"eval_time": time, "expr": f"sum(round({share}, 0.01))", "exp_samples": [sample]}
        for share in shares
        for time, sample in (
            ("9m", {"labels": "{}", "value": 0.1}),
            ("25m", {"labels": "{}", "value": 0}),
        )
    ]
    test = {"interval": "15s", "input_series": series, "promql_expr_test": cases}
    content = {"rule_files": [str(RULES / "recording.yml")], "tests": [test]}
    file = tmp_path / "shares.yml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    run("promtool", "test", "rules", file)


def test_every_alert_has_a_unit_test_that_fires_and_one_that_does_not() -> None:
    cases = [
        (case["alertname"], bool(case.get("exp_alerts")))
        for file in UNIT_TESTS.glob("*.yml")
        for test in read(file)["tests"]
        for case in test.get("alert_rule_test", [])
    ]
    assert set(cases) == {(name, fires) for name in ALERTS for fires in (True, False)}


@pytest.mark.parametrize("name", ALERTS)
def test_alert_has_severity_description_and_runbook(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    annotations = rule["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert "$value" in annotations["description"]
    assert annotations["runbook_url"] == f"{{{{ $externalLabels.runbooks }}}}/{name}.md"


@pytest.mark.parametrize(
    ("file", "severity", "receiver"),
    [
        ("alertmanager.yml", "critical", "none"),
        ("webhook.yml", "critical", "webhook"),
        ("webhook.yml", "warning", "webhook"),
        ("webhook.yml", "info", "none"),
    ],
)
def test_alertmanager_routes_alerts_by_severity(file: str, severity: str, receiver: str) -> None:
    config = DOCKER / "alertmanager" / file
    run("amtool", "check-config", config)
    route = ("config", "routes", "test", "--config.file", config, f"severity={severity}")
    assert run("amtool", *route).split() == [receiver]


def test_inhibitions_name_existing_alerts() -> None:
    rules = read(DOCKER / "alertmanager/alertmanager.yml")["inhibit_rules"]
    for rule in rules:
        for matcher in [*rule["source_matchers"], *rule["target_matchers"]]:
            assert set(matcher.split('"')[1].split("|")) <= set(ALERTS)
