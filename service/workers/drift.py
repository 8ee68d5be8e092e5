"""Drift tests of the scores of all workers: one stream, in the supervisor.

The guarantee of the tests holds for one sequence of scores. Each worker sends its scores, and the
supervisor tests them in the order in which they arrive, which does not depend on the scores.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oodguard.service.drift.martingale import AlarmLimits, DriftEvidence
from oodguard.service.drift.monitor import DriftMonitor
from oodguard.service.drift.state import MonitoredScore
from oodguard.service.errors import DriftNotReset
from oodguard.service.registry.deployment import (
    OpenMonitor,
    ScoreMonitor,
    monitoring,
    state_file,
)
from oodguard.service.settings import Settings
from oodguard.service.telemetry.drift_metrics import DriftFamilies, DriftMetrics
from oodguard.service.telemetry.metrics import Metrics
from oodguard.service.workers.channel import Fields, Message

SEND_INTERVAL_S = 0.25

RESET_TIMEOUT_S = 30.0

Key: TypeAlias = tuple[str, str]
"""The name and the version of a model."""


class Sender(Protocol):
    """Sends messages to the process that has the tests, as a `Channel` does."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that sends them."""

    def notify(self, name: str, payload: bytes = b"", **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Send a notice."""

    async def call(self, name: str, payload: bytes = b"", **fields: Any) -> Message:  # noqa: ANN401 - JSON
        """Send a call and return its answer."""


class SentScores:
    """The drift monitor of one model in a worker: sends its scores to the supervisor.

    Args:
        channel: Sends messages to the supervisor.
        calibration: The bundle's `reference_scores` of the deciding score, `(m,)`.
        monitored: The score and the threshold that are tested.
        limits: The limits at which evidence becomes an alarm.
        started: The started monitors of this worker, which this one joins and leaves.
    """

    def __init__(
        self,
        channel: Sender,
        calibration: NDArray[np.float32],
        monitored: MonitoredScore,
        limits: AlarmLimits,
        started: "list[SentScores]",
    ) -> None:
        self._started = started
        self._channel = channel
        self._calibration = calibration
        self._monitored = monitored
        self._limits = limits
        self._pending: list[NDArray[np.float32]] = []
        self._rejected: list[NDArray[np.bool_]] = []

    def start(self, previous: object = None) -> None:  # noqa: ARG002 - the supervisor knows it
        """Let the supervisor start the tests, or continue them."""
        self._started.append(self)
        self.announce()

    def announce(self) -> None:
        """Let the supervisor start the tests unless it has."""
        self._channel.notify(
            "monitor",
            self._calibration.astype(np.float32).tobytes(),
            monitored=asdict(self._monitored),
            limits=asdict(self._limits),
        )

    def add(self, scores: NDArray[np.float32], rejected: NDArray[np.bool_] | None = None) -> None:
        """Add the deciding scores `(n,)` of a request; they are sent within `SEND_INTERVAL_S`.

        `rejected` `(n,)` is needed if the threshold depends on the class.
        """
        if not self._pending:
            asyncio.get_running_loop().call_later(SEND_INTERVAL_S, self.send)
        self._pending.append(scores)
        if rejected is not None:
            self._rejected.append(rejected)

    def send(self) -> None:
        """Send the pending scores now. Call it in the event loop."""
        if self._pending:
            scores, self._pending = np.concatenate(self._pending), []
            rejected, self._rejected = b"".join(each.tobytes() for each in self._rejected), []
            each = self._monitored
            self._channel.notify(
                "scores",
                scores.astype(np.float32).tobytes() + rejected,
                images=len(scores),
                key=[each.model, each.version],
                monitored=asdict(each),
            )

    def reset(self, by: str) -> Mapping[str, DriftEvidence]:
        """Start both tests again, without evidence; see `DriftMonitor.reset`. Call it in a thread.

        Raises:
            DriftNotReset: The evidence is unchanged, or the supervisor does not answer.
        """
        key = [self._monitored.model, self._monitored.version]
        call = self._channel.call("reset_drift", key=key, by=by)
        reset = asyncio.run_coroutine_threadsafe(call, self._channel.loop)
        try:
            answer = reset.result(RESET_TIMEOUT_S)
        except TimeoutError:
            reset.cancel()
            raise DriftNotReset(
                f"the supervisor has not answered within {RESET_TIMEOUT_S:g} s, and may reset the"
                f" evidence of {key[0]} {key[1]} later: retry"
            ) from None
        return {test: _evidence_from_json(answer.fields[test]) for test in ("scores", "rejections")}

    def withdraw(self) -> None:
        """Send the pending scores; the supervisor sees for itself what is no longer served."""
        self.close()

    def close(self) -> None:
        """Send the pending scores."""
        self.send()
        if self in self._started:
            self._started.remove(self)


class SendsScores:
    """The link of a process whose scores another process tests.

    Args:
        sender: Sends messages to the process that has the tests.
    """

    def __init__(self, sender: Sender) -> None:
        super().__init__()
        self._sender = sender
        self._monitors: list[SentScores] = []

    def open_state(self, folder: Path) -> Path:
        """Return the folder, which the process with the tests locks."""
        return folder

    def open_monitor(self, metrics: Metrics, settings: Settings) -> OpenMonitor:  # noqa: ARG002
        """Return the function that creates a monitor that sends its scores."""

        def open_monitor(model: Any) -> ScoreMonitor:  # noqa: ANN401 - a LoadedModel
            calibration, monitored, limits = monitoring(model, settings)
            return SentScores(self._sender, calibration, monitored, limits, self._monitors)

        return open_monitor


class DriftTests:
    """The drift monitors of the service, in the supervisor.

    Args:
        settings: The settings, whose folder for the state is this service's alone.
        families: The metrics.
    """

    def __init__(self, settings: Settings, families: DriftFamilies) -> None:
        self._settings = settings
        self._families = families
        self._monitors: dict[Key, tuple[MonitoredScore, DriftMonitor]] = {}

    @property
    def keys(self) -> Collection[Key]:
        """The models that are tested."""
        return self._monitors.keys()

    def monitor(self, message: Message) -> None:
        """Start the tests of a model, unless another worker has let them start."""
        monitored = MonitoredScore(**message.fields["monitored"])
        key = (monitored.model, monitored.version)
        before, previous = self._monitors.get(key, (None, None))
        if before == monitored:
            return
        if previous is not None:
            previous.withdraw()
        started = DriftMonitor(
            np.frombuffer(message.payload, np.float32),
            monitored=monitored,
            limits=AlarmLimits(**message.fields["limits"]),
            file=state_file(self._settings, monitored),
            observer=DriftMetrics(self._families, *key),
            random=np.random.default_rng(),
        )
        started.start(previous)
        self._monitors[key] = (monitored, started)

    def observe(self, message: Message) -> None:
        """Add the scores of a request.

        Those of a bundle or of a score that was replaced a moment ago are evidence about neither.
        By class, the worker has decided, so that its policy must be the present one, too.
        """
        fields = message.fields
        monitored, monitor = self._monitors.get(tuple(fields["key"]), (None, None))
        if monitored is None or monitor is None:
            return
        sent = MonitoredScore(**fields["monitored"])
        scores = np.frombuffer(message.payload, np.float32, fields["images"])
        if monitored.by_class:
            if sent == monitored:
                monitor.add(scores, np.frombuffer(message.payload, np.bool_, offset=scores.nbytes))
        elif (sent.bundle, sent.score) == (monitored.bundle, monitored.score):
            monitor.add(scores)

    async def reset(
        self, message: Message, send_pending: Callable[[], Any]
    ) -> dict[str, dict[str, Any]]:
        """Start the tests of a model again; return the evidence before, by test.

        Args:
            message: Names the model and the origin of the request.
            send_pending: Lets all workers send their scores, which belong to the time before.

        Raises:
            DriftNotReset: The evidence is unchanged.
        """
        name, version = message.fields["key"]
        if (name, version) not in self._monitors:
            raise DriftNotReset(f"the evidence of {name} {version} is being replaced: retry")
        await send_pending()
        _, monitor = self._monitors[name, version]
        before = await asyncio.to_thread(partial(monitor.reset, message.fields["by"]))
        return {test: _evidence_to_json(each) for test, each in before.items()}

    def keep(self, served: Sequence[Key]) -> None:
        """End the tests of all models except those that are served."""
        for key in [key for key in self._monitors if key not in served]:
            _, monitor = self._monitors.pop(key)
            monitor.withdraw()

    def close(self) -> None:
        """Observe the pending scores of all models, and save the states."""
        for _, monitor in self._monitors.values():
            monitor.close()


def _evidence_to_json(evidence: DriftEvidence) -> dict[str, Any]:
    return {
        **asdict(evidence),
        "log_staked": evidence.log_staked.tolist(),
        "log_restarting": evidence.log_restarting.tolist(),
    }


def _evidence_from_json(fields: Fields) -> DriftEvidence:
    return DriftEvidence(
        steps=fields["steps"],
        alarms=fields["alarms"],
        log_peak=fields["log_peak"],
        log_staked=np.array(fields["log_staked"]),
        log_restarting=np.array(fields["log_restarting"]),
    )
