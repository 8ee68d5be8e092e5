"""What watches and scales the service in a cluster finds what it asks for."""

import re
import subprocess
from pathlib import Path

import yaml
from fastapi import FastAPI

from tests.deploy.manifests import (
    KUBERNETES,
    composed,
    needs_kubectl,
    one,
    prometheus_rules,
    rendered,
)
from tests.deploy.promql import Known, labels
from tests.deploy.rules import ALERTS, DOCKER, RULES, read

ADAPTER = KUBERNETES / "prometheus-adapter" / "values.yaml"


@needs_kubectl
def test_the_queue_scales_and_processor_time_does_while_nobody_tells_of_the_queue() -> None:
    metrics = one(rendered("autoscale-queue"), "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert [each["type"] for each in metrics] == ["Pods", "Resource"]
    (rule,) = yaml.safe_load(ADAPTER.read_text(encoding="utf-8"))["rules"]["custom"]
    asked = metrics[0]["pods"]["metric"]["name"]
    assert rule["name"]["as"] == asked
    assert re.fullmatch(rule["name"]["matches"], asked)


def test_prometheus_can_be_asked_what_the_adapter_asks(exposed: Known) -> None:
    (rule,) = yaml.safe_load(ADAPTER.read_text(encoding="utf-8"))["rules"]["custom"]
    series = rule["seriesQuery"].partition("{")[0]
    # Prometheus puts a pod and its namespace on every series that it has found through them.
    found = {**exposed, series: exposed[series] | {"namespace", "pod"}}
    assert labels(rule["seriesQuery"], found) == found[series]
    query = rule["metricsQuery"]
    for template, text in {
        "<<.Series>>": series,
        "<<.LabelMatchers>>": 'namespace="oodguard",pod=~"a|b"',
        "<<.GroupBy>>": "pod",
    }.items():
        assert template in query
        query = query.replace(template, text)
    assert labels(query, found) == {"pod"}
    assert set(rule["resources"]["overrides"]) == {"namespace", "pod"}


@needs_kubectl
def test_prometheus_finds_the_service_under_the_job_that_the_alerts_name(app: FastAPI) -> None:
    manifests = rendered("monitoring")
    monitor, service = one(manifests, "ServiceMonitor")["spec"], one(manifests, "Service")
    job = service["metadata"]["labels"][monitor["jobLabel"]]
    configured = read(DOCKER / "prometheus" / "prometheus.yml")["scrape_configs"]
    assert job in {each["job_name"] for each in configured}
    assert f'up{{job="{job}"}}' in ALERTS["OODGuardDown"]["expr"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert "get" in app.openapi()["paths"][endpoint["path"]]


@needs_kubectl
def test_prometheus_shows_a_key_where_keys_are_wanted() -> None:
    keys = one(composed(("monitoring", "keys")), "ServiceMonitor")["spec"]["endpoints"][0]
    assert keys["authorization"]["credentials"] == {"name": "oodguard-metrics-key", "key": "token"}
    assert (
        "authorization" not in one(rendered("monitoring"), "ServiceMonitor")["spec"]["endpoints"][0]
    )
    assert one(rendered("production"), "ServiceMonitor")["spec"]["endpoints"] == [keys]


def test_the_rules_become_prometheus_rules_unaltered() -> None:
    shipped = sorted(RULES.glob("*.yml"))
    made = prometheus_rules(*shipped)
    assert [each["spec"] for each in made] == [read(file) for file in shipped]
    assert {each["kind"] for each in made} == {"PrometheusRule"}
    names = [each["metadata"]["name"] for each in made]
    assert len(set(names)) == len(shipped)
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name) for name in names)


def test_a_rule_file_may_hold_blocks_and_have_any_name(tmp_path: Path) -> None:
    file = tmp_path / "My_rules.v2.yml"
    file.write_text(
        "groups:\n- name: a\n  rules:\n  - record: b\n    expr: |\n      c\n\n      + d\n"
    )
    (made,) = prometheus_rules(file)
    assert made["metadata"]["name"] == "oodguard-my-rules-v2"
    assert made["spec"]["groups"][0]["rules"][0]["expr"] == "c\n\n+ d\n"


def test_without_rules_the_script_says_what_it_wants() -> None:
    done = subprocess.run(
        [KUBERNETES / "prometheus-rules.sh"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage:" in done.stderr
