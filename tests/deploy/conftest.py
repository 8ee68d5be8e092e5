"""A service that has answered a request, and the series that Prometheus then has."""

import os
from collections.abc import Mapping

import pytest
from fastapi import FastAPI
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from oodguard.service.app import create_app
from oodguard.service.settings import Settings
from tests.deploy.exposition import documented_labels, family_name, series_of
from tests.deploy.promql import KnownSeries
from tests.deploy.rules import with_recorded
from tests.service.pictures import encode, plain
from tests.service.tiny import write_tiny


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
    """The families of metrics by name, after one request."""
    with TestClient(app) as client:
        client.post("/predict", content=encode(plain()), headers={"content-type": "image/png"})
        text = client.get("/metrics").text
    return {family_name(each): each for each in text_string_to_metric_families(text)}


@pytest.fixture(scope="session")
def exposed(families: Mapping[str, Metric]) -> KnownSeries:
    """Every scraped series with its labels."""
    labels = documented_labels()
    return {
        name: series_labels
        for family_name, family in families.items()
        for name, series_labels in series_of(family, labels[family_name]).items()
    }


@pytest.fixture(scope="session")
def known(exposed: KnownSeries) -> KnownSeries:
    """Every series of Prometheus, including recorded ones."""
    return with_recorded(exposed)
