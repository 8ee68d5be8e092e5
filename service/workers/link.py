"""A worker's side of the service: what it shares with the other workers, and the supervisor."""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from oodguard.models.errors import GuardError
from oodguard.service.auth.key_store import KeyStore
from oodguard.service.prediction.admission import Admission
from oodguard.service.prediction.decode_pool import Reserve
from oodguard.service.registry.changes import Change
from oodguard.service.registry.reload import Reloader
from oodguard.service.sampling.sampler import SampleSelector, sample_rates
from oodguard.service.settings import Settings
from oodguard.service.telemetry.metrics import Metrics
from oodguard.service.workers.channel import Channel, ChannelClosed, Message
from oodguard.service.workers.drift import SendsScores
from oodguard.service.workers.joined_calls import JoinedCalls
from oodguard.service.workers.load_table import LoadTable, SharedAdmission
from oodguard.service.workers.metrics_sum import Collected, from_json, to_json
from oodguard.service.workers.samples import SentSamples
from oodguard.service.workers.shared_rates import RateTable, SharedRateStore
from oodguard.service.workers.shared_reservation import SharedReservation
from oodguard.service.workers.shared_values import ValueMemory

SYNC_TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class SharedMemory:
    """The memory that all workers share. Create it before they are forked.

    Attributes:
        load: The share of each worker in the limits.
        rates: The rate limits of keys.
        values: The metrics of each worker.
        decode_lock: A file for the turn of a large image.
    """

    load: LoadTable
    rates: RateTable
    values: list[ValueMemory]
    decode_lock: int

    @classmethod
    def create(cls, workers: int) -> "SharedMemory":
        """Create the memory for a number of workers."""
        return cls(
            load=LoadTable(workers),
            rates=RateTable(os.memfd_create("oodguard-rates", os.MFD_CLOEXEC)),
            values=[ValueMemory() for _ in range(workers)],
            decode_lock=os.memfd_create("oodguard-decode", os.MFD_CLOEXEC),
        )


class WorkerLink(SendsScores):
    """The connection of one worker with the service; see `Process`.

    Args:
        channel: The channel to the supervisor; its handlers are added here.
        shared: The memory that all workers share.
        worker: The number of this worker, from 0.
        records: Whether this one logs and counts what all of them do at start.
        supervisor_bytes: The memory of the supervisor.
    """

    def __init__(
        self,
        *,
        channel: Channel,
        shared: SharedMemory,
        worker: int,
        records: bool,
        supervisor_bytes: int,
    ) -> None:
        super().__init__(channel)
        self.workers = shared.load.workers
        self.records = records
        self.supervisor_bytes = supervisor_bytes
        self.rates = SharedRateStore(shared.rates)
        self.counts = shared.load.row(worker)
        self._channel = channel
        self._shared = shared
        self._collect = JoinedCalls(self._collect_once)
        channel.handlers.update(
            reload=self._on_reload,
            reload_keys=self._on_reload_keys,
            send_scores=self._on_send_scores,
            metrics=self._on_metrics,
            ping=lambda _message: None,
        )

    def open_sampler(
        self,
        settings: Settings,
        registry: CollectorRegistry,  # noqa: ARG002 - the supervisor counts
    ) -> SampleSelector | None:
        """Return what sends samples to the supervisor, or None."""
        rates = sample_rates(settings)
        return SentSamples(self._channel, rates) if any(rates.values()) else None

    def admission(self, settings: Settings) -> Admission:
        """Return the limits of all workers together."""
        return SharedAdmission(
            self.counts,
            max_requests=settings.max_pending,
            max_bytes=settings.max_pending_bytes,
            max_images=settings.max_pending_images,
        )

    def decode_memory(self, capacity: int) -> Reserve:
        """Return the memory of all workers together."""
        return SharedReservation(capacity, self.counts, self._shared.decode_lock).reserve

    def connect(self, metrics: Metrics, reloader: Reloader, keys: KeyStore | None) -> None:
        """Take the parts of the application that the supervisor reaches."""
        self._metrics, self._reloader, self._keys = metrics, reloader, keys

    async def serve(self, on_end: Callable[[Message], None], on_closed: Callable[[], None]) -> None:
        """Handle the supervisor's messages.

        Args:
            on_end: Called when this worker has to end; `service`: with the service, or alone.
            on_closed: Called when the supervisor has ended.
        """
        self._channel.handlers["end"] = on_end
        await self._channel.serve()
        on_closed()

    async def wait_until_all_are_ready(self, summary: dict[str, Any]) -> None:
        """Report that this worker is ready, and wait until it may accept connections."""
        await self._channel.call("ready", summary=summary, **self._served())

    async def collect(self) -> Collector:
        """Return the metrics of the service."""
        return await self._collect()

    async def _collect_once(self) -> Collector:
        answer = await self._channel.call("collect")
        return Collected(from_json(json.loads(answer.payload)))

    async def reload(self, only: str | None) -> list[Change]:
        """Reload one model, or all of them, in every worker."""
        answer = await self._channel.call("reload", only=only)
        return [
            Change(**{**each, "folder": Path(each["folder"])}) for each in answer.fields["changes"]
        ]

    async def reload_all(self) -> None:
        """Reload keys and models in every worker."""
        await self._channel.call("reload_all")

    async def close(self) -> None:
        """Wait until the supervisor has received everything that was sent."""
        with suppress(ChannelClosed, TimeoutError):
            await asyncio.wait_for(self._channel.call("sync"), SYNC_TIMEOUT_S)

    def _served(self) -> dict[str, Any]:
        """Return what this worker serves: the same in all workers, except during a reload."""
        keys = b"" if self._keys is None else self._keys.ring.fingerprint()
        deployments = [each for _, each in self._reloader.registry.by_folder()]
        return {
            "fingerprint": [*self._reloader.fingerprint(), [hashlib.sha256(keys).hexdigest()]],
            "served": [[each.name, each.version] for each in deployments],
        }

    async def _on_reload(self, message: Message) -> dict[str, Any]:
        fields = message.fields
        changes = await self._reloader.reload(fields["only"], record=fields["record"])
        return {
            "changes": [
                {
                    "folder": str(each.folder),
                    "model": each.model,
                    "version": each.version,
                    "outcome": each.outcome,
                    "detail": each.detail,
                }
                for each in changes
            ],
            **self._served(),
        }

    async def _on_reload_keys(self, message: Message) -> dict[str, Any]:
        if self._keys is not None:
            await self._keys.reload(record=message.fields["record"])
        return self._served()

    def _on_send_scores(self, _message: Message) -> None:
        for each in self._monitors:
            each.send()

    def _on_metrics(self, _message: Message) -> Message:
        return Message({}, json.dumps(to_json(self._metrics.registry.collect())).encode())


def report_failure(channel: Channel, error: GuardError | ModuleNotFoundError) -> None:
    """Report to the supervisor why this worker cannot start."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    channel.send_before_the_end(
        "failed", error=type(error).__name__, text=str(error), missing=missing
    )
