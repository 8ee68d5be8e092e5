"""The common parts of replicas, such as those of Ray Serve: one sum of metrics, one drift test.

Replicas may run on several machines, so they share no memory and no file. Each sends messages to a
collector: its scores, which the collector tests for drift, and its metrics, which it adds up.
"""

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.metrics_core import Metric

from oodguard.models.errors import GuardError
from oodguard.service.drift.state_folder import StateFolder
from oodguard.service.settings import Settings
from oodguard.service.telemetry.drift_metrics import DriftFamilies
from oodguard.service.workers.channel import Message
from oodguard.service.workers.drift import DriftTests, Key
from oodguard.service.workers.metrics_sum import SUMMED_GAUGES, from_json, sum_metrics, to_json

REPORT_INTERVAL_S = 5.0
"""A replica sends its metrics this often."""

ABSENT_S = 6 * REPORT_INTERVAL_S
"""A replica without a report for this long does not count as serving."""

RETIRED_S = 300.0
"""A replica without a report for this long has ended: engines replace it far earlier."""

SUMMED = SUMMED_GAUGES | {
    "oodguard_requests_in_flight_limit",
    "oodguard_workers",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
}
"""The gauges of which each replica has its part."""


@dataclass(frozen=True, kw_only=True)
class _Report:
    at: float
    families: list[Metric]
    served: frozenset[Key]


class ReplicaCollector:
    """Tests the scores of all replicas, and adds up their metrics.

    Args:
        settings: The settings of the service.
        clock: Returns the time in seconds.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._clock = clock
        self._state = StateFolder(settings.state) if settings.state else None
        if self._state:
            settings = settings.model_copy(update={"state": self._state.path})
        self._registry = CollectorRegistry()
        self._tests = DriftTests(settings, DriftFamilies(self._registry))
        self._reports: dict[str, _Report] = {}
        self._retired: list[Metric] = []
        self._handlers: dict[str, Callable[[str, Message], Any]] = {
            "monitor": lambda _replica, message: self._tests.monitor(message),
            "scores": self._on_scores,
            "report": self._on_report,
            "collect": self._on_collect,
            "ended": self._on_ended,
        }

    def handle(self, replica: str, message: Message) -> Message:
        """Handle a message of a replica, and return the answer.

        Raises:
            GuardError: The message has an unknown name.
        """
        name = message.fields["name"]
        if name not in self._handlers:
            raise GuardError(f"message {name!r} is unknown, expected one of {list(self._handlers)}")
        return self._handlers[name](replica, message) or Message({})

    def close(self) -> None:
        """Save the states of the tests."""
        self._tests.close()
        if self._state:
            self._state.close()

    def _on_scores(self, _replica: str, message: Message) -> Message:
        self._tests.observe(message)
        return Message({"is_tested": tuple(message.fields["key"]) in self._tests.keys})

    def _on_report(self, replica: str, message: Message) -> None:
        self._reports[replica] = _Report(
            at=self._clock(),
            families=from_json(json.loads(message.payload)),
            served=frozenset((name, version) for name, version in message.fields["served"]),
        )
        self._retire(self._clock() - RETIRED_S)
        self._tests.keep([key for each in self._present() for key in each.served])

    def _on_collect(self, replica: str, message: Message) -> Message:
        self._on_report(replica, message)
        present = self._present()
        absent = [each for each in self._reports.values() if each not in present]
        parts = [
            self._registry.collect(),
            *(each.families for each in present),
            *(_counts(each.families) for each in absent),
            self._retired,
        ]
        return Message({}, json.dumps(to_json(sum_metrics(parts, SUMMED))).encode())

    def _on_ended(self, replica: str, message: Message) -> None:
        self._on_report(replica, message)
        self._reports[replica] = replace(self._reports[replica], at=-math.inf)
        self._retire(self._clock() - RETIRED_S)

    def _present(self) -> list[_Report]:
        since = self._clock() - ABSENT_S
        return [each for each in self._reports.values() if each.at >= since]

    def _retire(self, before: float) -> None:
        """Keep only the counts of the replicas whose last report is older."""
        for replica in [name for name, each in self._reports.items() if each.at < before]:
            ended = self._reports.pop(replica)
            self._retired = sum_metrics([self._retired, _counts(ended.families)])


def _counts(families: Iterable[Metric]) -> list[Metric]:
    """Return the families that keep their meaning when a replica has ended."""
    return [each for each in families if each.type in {"counter", "histogram"}]
