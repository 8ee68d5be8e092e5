"""Serve two versions of a model, and read the evidence of the drift tests from the metrics."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from starlette.testclient import TestClient

from oodguard.service.app import create_app
from oodguard.service.settings import Settings
from tests.e2e.conftest import wait_until
from tests.service.checks import metric
from tests.service.conftest import Issued
from tests.service.pictures import WHITE, encode, plain


@contextmanager
def serving(settings: Settings, issued: Issued) -> Iterator[TestClient]:
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        client.headers.update(issued["predict"].headers)
        yield client


def metrics(client: TestClient, issued: Issued) -> str:
    return client.get("/metrics", headers=issued["metrics"].headers).text


def evidence(client: TestClient, issued: Issued, version: str = "10") -> tuple[float, float]:
    found, labels = metrics(client, issued), {"model": "one", "version": version}
    return (
        metric(found, "oodguard_drift_log_martingale", **labels),
        metric(found, "oodguard_rejection_log_martingale", **labels),
    )


def resets(client: TestClient, issued: Issued) -> float:
    return metric(metrics(client, issued), "oodguard_drift_resets_total", model="one", version="10")


def flood(client: TestClient, issued: Issued) -> None:
    """Send 200 white images, which are all rejected, and wait for both alarms."""
    files = [("files", encode(plain(WHITE))) for _ in range(200)]
    assert client.post("/predict", files=files).status_code == 200
    wait_until(lambda: min(evidence(client, issued)) > -np.log(0.01))
