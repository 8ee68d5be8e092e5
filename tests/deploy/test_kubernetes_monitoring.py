"""Prometheus, its adapter and its operator find the series and objects that they use."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from fastapi import FastAPI

from tests.deploy.manifests import (
    KUBERNETES,
    composed,
    one,
    prometheus_rules,
    rendered,
)
from tests.deploy.promql import KnownSeries, labels
from tests.deploy.rules import ALERTS, DOCKER, RULES, read

ADAPTER = KUBERNETES / "prometheus-adapter" / "values.yaml"


def test_queue_autoscaler_uses_the_metric_of_the_adapter() -> None:
    metrics = one(rendered("autoscale-queue"), "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert [each["type"] for each in metrics] == ["Pods", "Resource"]
    (rule,) = yaml.safe_load(ADAPTER.read_text(encoding="utf-8"))["rules"]["custom"]
    name = metrics[0]["pods"]["metric"]["name"]
    assert rule["name"]["as"] == name
    assert re.fullmatch(rule["name"]["matches"], name)


def test_adapter_queries_an_exposed_series(exposed: KnownSeries) -> None:
    (rule,) = yaml.safe_load(ADAPTER.read_text(encoding="utf-8"))["rules"]["custom"]
    series = rule["seriesQuery"].partition("{")[0]
    # Service discovery adds the pod and its namespace to every series.
    known = {**exposed, series: exposed[series] | {"namespace", "pod"}}
    assert labels(rule["seriesQuery"], known) == known[series]
    query = rule["metricsQuery"]
    for template, text in {
        "<<.Series>>": series,
        "<<.LabelMatchers>>": 'namespace="oodguard",pod=~"a|b"',
        "<<.GroupBy>>": "pod",
    }.items():
        assert template in query
        query = query.replace(template, text)
    assert labels(query, known) == {"pod"}
    assert set(rule["resources"]["overrides"]) == {"namespace", "pod"}


def test_service_monitor_selects_the_service_under_the_job_of_the_alerts(app: FastAPI) -> None:
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


def test_service_monitor_has_a_key_only_with_the_keys_component() -> None:
    with_keys = one(composed(("monitoring", "keys")), "ServiceMonitor")["spec"]["endpoints"][0]
    assert with_keys["authorization"]["credentials"] == {
        "name": "oodguard-metrics-key",
        "key": "token",
    }
    (without,) = one(rendered("monitoring"), "ServiceMonitor")["spec"]["endpoints"]
    assert "authorization" not in without
    assert one(rendered("production"), "ServiceMonitor")["spec"]["endpoints"] == [with_keys]


def test_prometheus_rules_script_keeps_the_rules_and_sets_the_address_of_the_runbooks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RUNBOOKS_URL", "https://wiki.example/runbooks")
    shipped = sorted(RULES.glob("*.yml"))
    made = prometheus_rules(*shipped)
    texts = [file.read_text(encoding="utf-8") for file in shipped]
    base = "{{ $externalLabels.runbooks }}"
    assert [each["spec"] for each in made] == [
        yaml.safe_load(text.replace(base, "https://wiki.example/runbooks")) for text in texts
    ]
    assert base in "".join(texts)
    assert {each["kind"] for each in made} == {"PrometheusRule"}
    names = [each["metadata"]["name"] for each in made]
    assert len(set(names)) == len(shipped)
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name) for name in names)


def test_prometheus_rules_script_accepts_block_scalars_and_any_file_name(tmp_path: Path) -> None:
    file = tmp_path / "My_rules.v2.yml"
    file.write_text(
        "groups:\n- name: a\n  rules:\n  - record: b\n    expr: |\n      c\n\n      + d\n"
    )
    (made,) = prometheus_rules(file)
    assert made["metadata"]["name"] == "oodguard-my-rules-v2"
    assert made["spec"]["groups"][0]["rules"][0]["expr"] == "c\n\n+ d\n"


def test_prometheus_rules_script_prints_its_usage_without_files() -> None:
    done = subprocess.run(
        [KUBERNETES / "prometheus-rules.sh"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage:" in done.stderr
