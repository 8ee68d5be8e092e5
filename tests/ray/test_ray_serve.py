"""The service on a local Ray: verdicts, metrics, reload, rolling update, a killed replica."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest

from oodguard.models.errors import GuardError
from oodguard.service.settings import Settings
from tests.ray.cluster import Cluster, Load, wait_until
from tests.service.checks import metric
from tests.service.graphs import SIZE
from tests.service.tiny import write_tiny

ray_serve = pytest.importorskip("ray.serve") and __import__(
    "oodguard.ray_serve", fromlist=["replica_settings"]
)

pytestmark = pytest.mark.slow

BODY = np.zeros((3, SIZE, SIZE, 3), np.uint8).tobytes()
HEADERS = {"Content-Type": "application/octet-stream", "X-Shape": f"3,{SIZE},{SIZE},3"}
CLIENTS = 4


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny(folder / "tiny" / "1", version="1")
    return folder


@pytest.fixture(scope="module")
def settings(models: Path) -> dict[str, str]:
    return {"OODGUARD_MODELS": str(models), "OODGUARD_ALPHA": "0.1"}


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, settings: dict[str, str]
) -> Iterator[Cluster]:
    running = Cluster(tmp_path_factory.mktemp("r"))
    try:
        running.start(cpus=4)
        running.deploy(settings=settings)
        yield running
    finally:
        running.stop()


def load(cluster: Cluster) -> Load:
    return Load(cluster.url, BODY, HEADERS, CLIENTS)


def metrics(cluster: Cluster) -> str:
    return httpx2.get(f"{cluster.url}/metrics").text


def predicted(cluster: Cluster) -> float:
    return metric(metrics(cluster), "oodguard_requests_total", route="/predict", code="200")


def test_ray_serve_answers_and_counts_as_the_service_does(cluster: Cluster) -> None:
    answer = httpx2.post(f"{cluster.url}/predict", content=BODY, headers=HEADERS).json()
    assert answer["policy"]["alpha"] == 0.1
    assert [each["decision"] for each in answer["predictions"]] == ["accept"] * 3
    refused = httpx2.post(f"{cluster.url}/predict", content=BODY[1:], headers=HEADERS)
    assert refused.headers["Content-Type"] == "application/problem+json"
    # The metrics are those of all replicas, each of which reports every five seconds.
    sent = load(cluster)
    asyncio.run(sent.during(lambda: time.sleep(2)))
    assert set(sent.statuses) == {200}
    assert not sent.errors
    wait_until(lambda: predicted(cluster) == 1 + len(sent.statuses), "all are counted")
    assert metric(metrics(cluster), "oodguard_workers") == 2


def test_ray_serve_reloads_all_replicas_by_user_config(
    cluster: Cluster, models: Path, settings: dict[str, str]
) -> None:
    pids = cluster.pids()
    write_tiny(models / "tiny" / "2", version="2")
    sent = load(cluster)
    asyncio.run(sent.during(lambda: cluster.deploy(settings=settings, reload=1)))
    assert set(sent.statuses) == {200}
    assert not sent.errors
    after = load(cluster)
    asyncio.run(after.during(lambda: time.sleep(1)))
    assert set(after.versions) == {"2"}
    assert sorted(cluster.pids()) == sorted(pids)  # none was started again


def test_ray_serve_loses_no_request_in_a_rolling_update(
    cluster: Cluster, settings: dict[str, str]
) -> None:
    pids = cluster.pids()
    changed = {**settings, "OODGUARD_ALPHA": "0.2"}
    sent = load(cluster)
    asyncio.run(sent.during(lambda: cluster.deploy(settings=changed, reload=1)))
    assert set(sent.statuses) == {200}
    assert not sent.errors
    assert not {*cluster.pids()} & {*pids}
    answer = httpx2.post(f"{cluster.url}/predict", content=BODY, headers=HEADERS).json()
    assert answer["policy"]["alpha"] == 0.2


def test_ray_serve_loses_only_what_a_killed_replica_had(cluster: Cluster) -> None:
    killed = cluster.pids()[0]

    def kill() -> None:
        time.sleep(1)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: len({*cluster.pids()} - {killed}) == 2, "the replica is replaced")
        time.sleep(1)

    sent = load(cluster)
    asyncio.run(sent.during(kill))
    lost = len(sent.errors) + sum(each != 200 for each in sent.statuses)
    assert lost <= CLIENTS
    assert sent.statuses[-1] == 200
    wait_until(lambda: metric(metrics(cluster), "oodguard_workers") >= 2, "both report")


@pytest.mark.parametrize(
    ("variables", "options", "text"),
    [
        ({"OODGUARD_ADMIN": "true"}, {}, "OODGUARD_ADMIN is true, expected false"),
        ({"OODGUARD_ALHPA": "0.1"}, {}, "unknown setting OODGUARD_ALHPA"),
        ({"OODGUARD_ALPHA": "2"}, {}, "OODGUARD_ALPHA is"),
        ({}, {"bundel": "a"}, "unknown argument bundel, expected bundle, replicas, cpus, gpus"),
        ({}, {"replicas": "two"}, "replicas is 'two', expected a whole number"),
        ({}, {"bundle": "/missing"}, "/missing.* not"),
        ({"OODGUARD_MODELS": "/missing"}, {}, "OODGUARD_MODELS is /missing, which is not a"),
    ],
)
def test_ray_serve_refuses_settings_before_a_replica_starts(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    options: dict[str, object],
    text: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(GuardError, match=text):
        ray_serve.app(options)


def test_ray_serve_options_become_settings(tmp_path: Path) -> None:
    options = ray_serve.Options(bundle=tmp_path, replicas=2, cpus=3)
    expected = Settings(bundle=tmp_path, device="cpu", threads=3, decode_threads=3, workers=1)
    assert ray_serve.replica_settings(options) == expected
