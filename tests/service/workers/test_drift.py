"""Drift tests of the scores of all workers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from safetensors.numpy import load_file

from oodguard.service.drift.martingale import AlarmLimits
from oodguard.service.drift.state import MonitoredScore
from oodguard.service.errors import DriftNotReset
from oodguard.service.settings import Settings
from oodguard.service.telemetry.drift_metrics import DriftFamilies
from oodguard.service.workers import drift, service_parts
from oodguard.service.workers.channel import Channel, Handler, Message
from oodguard.service.workers.drift import DriftTests, SentScores
from oodguard.service.workers.service_parts import ServiceParts
from oodguard.service.workers.worker_process import Worker

pytestmark = pytest.mark.anyio

MONITORED = MonitoredScore(
    model="m", version="1", bundle="b", score="s", threshold=240.0, rate=0.05
)
LIMITS = AlarmLimits()
CALIBRATION = np.arange(250, dtype=np.float32)


class Service:
    """A supervisor's drift tests, and the monitors of its workers."""

    def __init__(self, state: Path) -> None:
        self.registry = CollectorRegistry()
        self.tests = DriftTests(Settings(state=state), DriftFamilies(self.registry))
        self.file = state / "drift-m@1.safetensors"
        self.channels: list[Channel] = []
        self._tasks: list[asyncio.Task[None]] = []

    def connect(self) -> Channel:
        """Add a worker, and return its end of the channel."""
        ours, its = socket.socketpair()
        supervisor = Channel(
            ours,
            {
                "monitor": self.tests.monitor,
                "scores": self.tests.observe,
                "reset_drift": lambda message: self.tests.reset(message, self.send_pending),
                "sync": lambda _message: None,
            },
        )
        worker = Channel(its, {})
        self._tasks += [asyncio.create_task(each.serve()) for each in (supervisor, worker)]
        self.channels.append(worker)
        return worker

    async def send_pending(self) -> None:
        for each in self.channels:
            await each.call("sync")

    async def close(self) -> None:
        await self.send_pending()
        await asyncio.to_thread(self.tests.close)
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def service(state: Path) -> AsyncIterator[Service]:
    running = Service(state)
    try:
        yield running
    finally:
        await running.close()


def monitor(channel: Channel, monitored: MonitoredScore = MONITORED) -> SentScores:
    started: list[SentScores] = []
    found = SentScores(channel, CALIBRATION, monitored, LIMITS, started)
    found.start()
    assert started == [found]
    return found


async def test_drift_tests_see_the_scores_of_all_workers_as_one_stream(tmp_path: Path) -> None:
    async with service(tmp_path) as running:
        first, second = (monitor(running.connect()) for _ in range(2))
        for number in range(10):
            first.add(np.array([float(number)], np.float32))
            second.add(np.array([1.0, 2.0], np.float32))
        first.send()
        second.close()
    assert load_file(running.file)["counts"].sum() == 30
    assert [each.name for each in tmp_path.iterdir()] == [running.file.name]


@pytest.mark.parametrize(
    ("changed", "images"),
    # Ranks do not depend on the threshold, so that all scores count.
    [(replace(MONITORED, threshold=100.0), 9), (replace(MONITORED, bundle="c"), 2)],
)
async def test_drift_tests_ignore_scores_of_a_replaced_bundle(
    tmp_path: Path, changed: MonitoredScore, images: int
) -> None:
    async with service(tmp_path) as running:
        old, new = running.connect(), running.connect()
        before = monitor(old)
        before.add(np.ones(3, np.float32))
        before.send()
        await running.send_pending()
        after = monitor(new, changed)
        await running.send_pending()
        before.add(np.ones(4, np.float32))
        before.send()
        after.add(np.ones(2, np.float32))
        after.send()
    assert load_file(running.file)["counts"].sum() == images


async def test_drift_tests_observe_the_rejections_of_a_policy_by_class(tmp_path: Path) -> None:
    by_class = replace(MONITORED, by_class=True)
    async with service(tmp_path) as running:
        first, second = (monitor(running.connect(), by_class) for _ in range(2))
        # Scores far above the common threshold, which the classes do not reject.
        for each in (first, second):
            each.add(np.full(20, 249, np.float32), np.zeros(20, bool))
        first.add(np.full(2, 1, np.float32), np.array([False, True]))
        for each in (first, second):
            each.close()
    state = load_file(running.file)
    assert state["counts"].sum() == state["rejections.steps"][0] == 42
    # 41 acceptances and a rejection that is the last: no bet has won.
    assert state["rejections.log_playing"].max() < 0


@pytest.mark.parametrize(
    ("former", "present", "images"),
    [
        ({"by_class": True}, {"by_class": True}, 5),
        ({"by_class": True}, {"by_class": True, "rate": 0.01}, 3),
        ({"by_class": True}, {"by_class": True, "threshold": 100.0}, 3),
        ({"by_class": False}, {"by_class": True}, 3),
        # The common threshold decides in the supervisor.
        ({"by_class": True}, {"by_class": False}, 5),
    ],
)
async def test_drift_tests_ignore_rejections_by_class_of_a_former_policy(
    tmp_path: Path, former: dict[str, Any], present: dict[str, Any], images: int
) -> None:
    """The second worker still has the former policy when the first one has the present one."""
    async with service(tmp_path) as running:
        first, second = running.connect(), running.connect()
        before = monitor(second, replace(MONITORED, **former))
        await running.send_pending()
        after = monitor(first, replace(MONITORED, **present))
        await running.send_pending()
        before.add(np.ones(2, np.float32), np.ones(2, bool) if former["by_class"] else None)
        before.send()
        after.add(np.ones(3, np.float32), np.zeros(3, bool) if present["by_class"] else None)
        after.send()
    state = load_file(running.file)
    assert state["counts"].sum() == state["rejections.steps"][0] == images


async def test_drift_reset_returns_the_evidence_of_all_workers(tmp_path: Path) -> None:
    async with service(tmp_path) as running:
        first, second = (monitor(running.connect()) for _ in range(2))
        for each in (first, second):
            each.add(np.arange(5, dtype=np.float32))
            each.send()
        await running.send_pending()
        # The monitor observes once in a second.
        (_, started) = running.tests._monitors["m", "1"]
        await asyncio.to_thread(started._observe)
        before = await asyncio.to_thread(first.reset, "an operator")
        again = await asyncio.to_thread(second.reset, "an operator")
    assert (before["scores"].steps, before["rejections"].steps) == (10, 10)
    assert again["scores"].steps == 0
    assert np.isfinite(before["scores"].log_martingale)
    assert (
        running.registry.get_sample_value(
            "oodguard_drift_resets_total", {"model": "m", "version": "1"}
        )
        == 2
    )


async def test_drift_tests_end_for_models_that_are_not_served(tmp_path: Path) -> None:
    async with service(tmp_path) as running:
        sent = monitor(running.connect())
        await running.send_pending()
        labels = {"model": "m", "version": "1"}
        running.tests.keep([("m", "1")])
        name = "oodguard_drift_log_martingale"
        assert running.registry.get_sample_value(name, labels) is not None
        running.tests.keep([("m", "2")])
        assert running.registry.get_sample_value(name, labels) is None
        with pytest.raises(DriftNotReset, match="m 1 is being replaced"):
            await asyncio.to_thread(sent.reset, "an operator")


def never_answer(_message: Message) -> Coroutine[Any, Any, bool]:
    return asyncio.Event().wait()


async def test_drift_reset_names_the_worker_that_does_not_send_its_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_parts, "COLLECT_TIMEOUT_S", 0.5)
    workers: list[Worker] = []
    parts = ServiceParts(Settings(state=tmp_path), [], lambda: workers, list)
    channels = []
    handlers: list[Handler] = [lambda _message: None, never_answer]
    for number, handler in enumerate(handlers):
        ours, its = socket.socketpair()
        supervisor, channel = Channel(ours, parts.handlers), Channel(its, {"send_scores": handler})
        workers.append(Worker(number, supervisor, pid=100 + number, fingerprint=["ready"]))
        channels += [supervisor, channel]
    tasks = [asyncio.create_task(each.serve()) for each in channels]
    sent = monitor(channels[1])
    await channels[1].call("sync")
    message = r"m 1 is unchanged, .* within 0\.5 s from .* process ids: 101\. Retry"
    with pytest.raises(DriftNotReset, match=message):
        await asyncio.to_thread(sent.reset, "an operator")
    await asyncio.to_thread(parts.close)
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_drift_reset_reports_a_supervisor_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "RESET_TIMEOUT_S", 0.05)
    async with service(tmp_path) as running:
        monkeypatch.setattr(running.tests, "reset", lambda message, _pending: never_answer(message))
        sent = monitor(running.connect())
        await running.send_pending()
        message = r"has not answered within 0\.05 s, and may reset the evidence of m 1 later: retry"
        with pytest.raises(DriftNotReset, match=message):
            await asyncio.to_thread(sent.reset, "an operator")
