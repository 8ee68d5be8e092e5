"""The parts that exist once in a service, and that the supervisor has: tests, samples, metrics."""

import asyncio
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.metrics_core import Metric

from oodguard.service.drift.state_folder import StateFolder
from oodguard.service.errors import DriftNotReset
from oodguard.service.sampling.sampler import sampler_from
from oodguard.service.settings import Settings
from oodguard.service.telemetry.drift_metrics import DriftFamilies
from oodguard.service.workers.channel import Handler, Message
from oodguard.service.workers.drift import DriftTests
from oodguard.service.workers.joined_calls import JoinedCalls
from oodguard.service.workers.metrics_sum import from_json, retired_metrics, sum_metrics, to_json
from oodguard.service.workers.process_metrics import ServiceProcesses
from oodguard.service.workers.samples import sample_verdicts, write_sample
from oodguard.service.workers.shared_values import ValueMemory
from oodguard.service.workers.worker_process import Worker

# A worker that is busy for longer appears in the metrics with its counters and histograms only, and
# the drift evidence is not reset.
COLLECT_TIMEOUT_S = 2.0


class ServiceParts:
    """The drift tests, the sampler and the metrics of a service.

    Args:
        settings: The settings of the service.
        values: The values of the metrics of each worker.
        workers: Returns the worker processes.
        pids: Returns the ids of all processes.

    Attributes:
        registry: The supervisor's own metrics.

    Raises:
        SamplingError: The store for sampled images cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        values: Sequence[ValueMemory],
        workers: Callable[[], Collection[Worker]],
        pids: Callable[[], list[int]],
    ) -> None:
        self._values = values
        self._workers = workers
        self._state = StateFolder(settings.state) if settings.state else None
        if self._state:
            settings = settings.model_copy(update={"state": self._state.path})
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._tests = DriftTests(settings, DriftFamilies(self.registry))
        self._sampler = sampler_from(settings, self.registry)
        self.registry.register(ServiceProcesses(pids))
        self._retired: list[Metric] = []
        self._collect = JoinedCalls(self._collect_once)

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The functions that handle the messages of workers."""
        return {
            "monitor": self._tests.monitor,
            "scores": self._tests.observe,
            "reset_drift": self._on_reset_drift,
            "sample": self._on_sample,
            "sample_dropped": self._on_sample_dropped,
            # A client that requests the metrics again and again must not occupy the supervisor.
            "collect": lambda _message: self._collect(),
            # Answered when all earlier messages are handled.
            "sync": lambda _message: None,
        }

    def keep_tests(self) -> None:
        """End the tests of models that no worker serves any more."""
        self._tests.keep([key for each in self._workers() for key in each.served])

    def keep_counts(self, worker: Worker) -> None:
        """Keep the counts of a worker that has ended, and clear its memory for another one."""
        values = self._values[worker.number]
        self._retired = sum_metrics([self._retired, retired_metrics(values.read())])
        values.clear()

    def close(self) -> None:
        """Save the states of the tests, and write the pending samples."""
        self._tests.close()
        if self._sampler:
            self._sampler.close()
        if self._state:
            self._state.close()

    async def _on_reset_drift(self, message: Message) -> dict[str, Any]:
        async def send_pending() -> None:
            asked = [each for each in self._workers() if each.is_ready]
            answers = await self._call_each(asked, "send_scores")
            late = [
                str(worker.pid)
                for worker, answer in zip(asked, answers, strict=True)
                if isinstance(answer, TimeoutError)
            ]
            if late:
                name, version = message.fields["key"]
                raise DriftNotReset(
                    f"the evidence of {name} {version} is unchanged, because no scores were"
                    f" received within {COLLECT_TIMEOUT_S:g} s from the workers with these process"
                    f" ids: {', '.join(late)}. Retry"
                )

        return await self._tests.reset(message, send_pending)

    def _on_sample(self, message: Message) -> None:
        if self._sampler:
            write_sample(self._sampler, message)

    def _on_sample_dropped(self, message: Message) -> None:
        if self._sampler:
            self._sampler.count_dropped(sample_verdicts(message).values())

    async def _collect_once(self) -> Message:
        """Return the metrics of the service."""
        asked = [each for each in self._workers() if each.fingerprint]
        answers = await self._call_each(asked, "metrics")
        by_worker = dict(zip(asked, answers, strict=True))
        parts: list[Any] = [self.registry.collect()]
        # Those that have ended meanwhile are among the retired ones.
        for worker in self._workers():
            answer = by_worker.get(worker)
            if isinstance(answer, Message):
                parts.append(from_json(json.loads(answer.payload)))
            else:
                parts.append(retired_metrics(self._values[worker.number].read()))
        parts.append(self._retired)
        return Message({}, json.dumps(to_json(sum_metrics(parts))).encode())

    async def _call_each(
        self, workers: Sequence[Worker], name: str
    ) -> list[Message | BaseException]:
        """Send a call to each worker, and return the answers or why there is none, in order."""
        return await asyncio.gather(
            *(asyncio.wait_for(each.channel.call(name), COLLECT_TIMEOUT_S) for each in workers),
            return_exceptions=True,
        )
