"""A service that has answered a request, and the series that Prometheus then has."""

import os
import re
from collections.abc import Mapping

import pytest
from fastapi import FastAPI
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from oodguard.service.app import create_app
from oodguard.service.settings import Settings
from tests.deploy.promql import KnownSeries, Labels
from tests.deploy.rules import with_recorded
from tests.service.checks import DOCS, post
from tests.service.pictures import encode, plain
from tests.service.tiny import write_tiny

ROW = re.compile(r"^\| `(?P<name>\w+)` \| \w+ \| (?P<labels>[^|]*)\|", re.MULTILINE)


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """A service of one tiny bundle with default settings."""
    folder = tmp_path_factory.mktemp("monitored") / "tiny"
    write_tiny(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("OODGUARD_")]:
            patch.delenv(name)
        return create_app(Settings(bundle=folder))


@pytest.fixture(scope="session")
def families(app: FastAPI) -> Mapping[str, Metric]:
    """The families of metrics by their names in docs/metrics.md, after one request."""
    with TestClient(app) as client:
        post(client, encode(plain()))
        found = text_string_to_metric_families(client.get("/metrics").text)
    return {each.name + ("_total" if each.type == "counter" else ""): each for each in found}


@pytest.fixture(scope="session")
def documented_labels() -> Mapping[str, Labels]:
    """The labels by metric in docs/metrics.md."""
    rows = ROW.finditer((DOCS / "metrics.md").read_text(encoding="utf-8"))
    return {row["name"]: frozenset(re.findall(r"`(\w+)`", row["labels"])) for row in rows}


@pytest.fixture(scope="session")
def exposed(families: Mapping[str, Metric], documented_labels: Mapping[str, Labels]) -> KnownSeries:
    """Every scraped series with its labels."""
    series: dict[str, Labels] = {}
    for name, family in families.items():
        labels = documented_labels[name] | {"job", "instance"}
        if family.type == "histogram":
            series |= {f"{name}_sum": labels, f"{name}_count": labels}
            series[f"{name}_bucket"] = labels | {"le"}
        else:
            series[name] = labels
    return series


@pytest.fixture(scope="session")
def known(exposed: KnownSeries) -> KnownSeries:
    """Every series of Prometheus, including recorded ones."""
    return with_recorded(exposed)
