"""Replicas that share no memory: one sum of metrics and one drift test, in a collector."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from starlette.testclient import TestClient

from oodguard.models.errors import GuardError
from oodguard.service.app import create_app
from oodguard.service.settings import Settings
from oodguard.service.workers.channel import Message
from oodguard.service.workers.replica_collector import ABSENT_S, RETIRED_S, ReplicaCollector
from oodguard.service.workers.replica_link import ReplicaLink
from tests.service.checks import metric, post_pixels
from tests.service.graphs import SIZE
from tests.service.tiny import write_tiny

IMAGES = 3
BODY = np.zeros((IMAGES, SIZE, SIZE, 3), np.uint8).tobytes()
SHAPE = f"{IMAGES},{SIZE},{SIZE},3"
TINY = {"model": "tiny", "version": "1"}


@dataclass
class Engine:
    """Starts replicas and delivers their messages, as Ray Serve does."""

    bundle: Path
    state: Path | None = None
    now: float = 0.0
    is_reachable: bool = True
    collector: ReplicaCollector = field(init=False)

    def __post_init__(self) -> None:
        self.replace_collector()

    def replace_collector(self) -> None:
        settings = Settings(bundle=self.bundle, state=self.state)
        self.collector = ReplicaCollector(settings, lambda: self.now)

    @contextmanager
    def replica(self, name: str) -> Iterator[tuple[TestClient, ReplicaLink]]:
        async def post(message: Message) -> Message:
            if not self.is_reachable:
                raise ConnectionError("the collector has ended")
            return self.collector.handle(name, message)

        link = ReplicaLink(post)
        app = create_app(Settings(bundle=self.bundle), own_process=link)
        with TestClient(app) as client:
            yield client, link


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    write_tiny(tmp_path / "bundle")
    return Engine(tmp_path / "bundle")


@pytest.fixture
def stateful(engine: Engine, tmp_path: Path) -> Engine:
    engine.state = tmp_path / "state"
    engine.state.mkdir()
    engine.replace_collector()
    return engine


def predict(client: TestClient) -> None:
    assert post_pixels(client, BODY, SHAPE).status_code == 200


def report(client: TestClient, link: ReplicaLink) -> None:
    async def send() -> None:
        link.report()
        await link.collect()  # messages are delivered in their order

    assert client.portal is not None
    client.portal.call(send)


def send_scores(client: TestClient, link: ReplicaLink) -> None:
    async def send() -> None:
        for each in link._monitors:
            each.send()
        await link.collect()

    assert client.portal is not None
    client.portal.call(send)


def images_in_the_test(engine: Engine) -> int:
    engine.collector.close()
    assert engine.state is not None
    return int(load_file(engine.state / "drift-tiny@1.safetensors")["ranks.steps"][0])


def decisions(exposition: str) -> float:
    return sum(
        metric(exposition, "oodguard_decisions_total", decision=each, **TINY)
        for each in ("accept", "reject")
    )


def test_replica_metrics_are_the_sum_of_all_replicas(engine: Engine) -> None:
    with engine.replica("a") as (first, _), engine.replica("b") as (second, link):
        predict(first)
        predict(second)
        predict(second)
        report(second, link)
        text = first.get("/metrics").text
        assert decisions(text) == 3 * IMAGES
        assert metric(text, "oodguard_workers") == 2
        assert metric(text, "oodguard_requests_in_flight_limit") == 160  # 80 for each
        # The threshold is that of each replica, and not a sum.
        assert metric(text, "oodguard_threshold", **TINY) == 244


def test_replica_that_ended_keeps_its_counts_only(engine: Engine) -> None:
    with engine.replica("a") as (first, _):
        with engine.replica("b") as (second, _):
            predict(second)
        text = first.get("/metrics").text
        assert decisions(text) == IMAGES
        assert metric(text, "oodguard_workers") == 1


@pytest.mark.parametrize("age_s", [ABSENT_S + 1, RETIRED_S + 1])
def test_replica_that_was_killed_keeps_its_counts_only(engine: Engine, age_s: float) -> None:
    with engine.replica("a") as (first, _), engine.replica("b") as (second, link):
        predict(second)
        report(second, link)
        report(second, link)  # a second report replaces the first one
        engine.now += age_s
        for _ in range(2):
            text = first.get("/metrics").text
            assert decisions(text) == IMAGES
            assert metric(text, "oodguard_workers") == 1


def test_replica_metrics_without_a_collector_are_refused_and_predictions_are_not(
    engine: Engine,
) -> None:
    with engine.replica("a") as (client, _):
        engine.is_reachable = False
        predict(client)
        assert client.get("/metrics").status_code == 503
        engine.is_reachable = True
        assert decisions(client.get("/metrics").text) == IMAGES


def test_replica_drift_test_sees_the_scores_of_all_replicas(stateful: Engine) -> None:
    with stateful.replica("a") as (first, _), stateful.replica("b") as (second, _):
        predict(first)
        predict(second)
    assert images_in_the_test(stateful) == 2 * IMAGES


def test_replica_announces_its_models_to_a_new_collector(stateful: Engine) -> None:
    with stateful.replica("a") as (client, link):
        client.get("/metrics")  # the announcement at start has arrived
        stateful.collector.close()
        stateful.replace_collector()
        predict(client)
        send_scores(client, link)  # of an unknown model: they are lost
        predict(client)
        send_scores(client, link)
    assert images_in_the_test(stateful) == IMAGES


def test_replica_message_with_an_unknown_name_is_refused(engine: Engine) -> None:
    with pytest.raises(GuardError, match="message 'other' is unknown, expected one of"):
        engine.collector.handle("a", Message({"name": "other"}))
