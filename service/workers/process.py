"""The parts of an application that depend on its process: alone, or one of several workers."""

from contextlib import nullcontext
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector
from throttled.store import MemoryStore

from oodguard.service.auth.key_store import KeyStore
from oodguard.service.drift.state_folder import StateFolder
from oodguard.service.prediction.admission import Admission
from oodguard.service.prediction.decode_pool import Reserve
from oodguard.service.registry.changes import Change
from oodguard.service.registry.deployment import OpenMonitor, monitors_in_this_process
from oodguard.service.registry.reload import Reloader
from oodguard.service.sampling.sampler import Sampler, SampleSelector, sampler_from
from oodguard.service.server.connection_limit import ConnectionCounts
from oodguard.service.settings import Settings
from oodguard.service.telemetry.metrics import Metrics


class Process(Protocol):
    """Supplies the parts of an application that depend on the other processes of the service."""

    @property
    def workers(self) -> int:
        """The number of processes that serve requests."""

    @property
    def records(self) -> bool:
        """Whether this one logs what all of them do at start."""

    @property
    def supervisor_bytes(self) -> int:
        """The memory of the process that supervises them."""

    @property
    def rates(self) -> MemoryStore | None:
        """The store that counts the rate limits of keys; None: one in this process."""

    @property
    def counts(self) -> ConnectionCounts | None:
        """The connections of the workers; None: there is only this process."""

    def open_state(self, folder: Path) -> Path:
        """Return the folder for this service's drift state, within the common folder."""

    def open_monitor(self, metrics: Metrics, settings: Settings) -> OpenMonitor:
        """Return the function that creates the drift monitor of a model."""

    def open_sampler(
        self, settings: Settings, registry: CollectorRegistry
    ) -> SampleSelector | None:
        """Return what samples images, or None."""

    def admission(self, settings: Settings) -> Admission:
        """Return the limits on what is in flight."""

    def decode_memory(self, capacity: int) -> Reserve:
        """Return the function that holds memory of `capacity` while a large image is decoded."""

    def connect(self, metrics: Metrics, reloader: Reloader, keys: KeyStore | None) -> None:
        """Take the parts of the application that the other processes reach."""

    async def collect(self) -> Collector:
        """Return the metrics of the service."""

    async def reload(self, only: str | None) -> list[Change]:
        """Reload one model, or all of them, in every process."""

    async def reload_all(self) -> None:
        """Reload keys and models in every process."""

    async def close(self) -> None:
        """End what `open_state`, `open_monitor` and `open_sampler` have opened."""


class OnlyProcess:
    """The only process of a service."""

    workers = 1
    records = True
    supervisor_bytes = 0
    rates = None
    counts = None

    def __init__(self) -> None:
        self._state: StateFolder | None = None
        self._sampler: Sampler | None = None

    def open_state(self, folder: Path) -> Path:
        """Lock the folder, or one in it if another service has locked it."""
        self._state = StateFolder(folder)
        return self._state.path

    def open_monitor(self, metrics: Metrics, settings: Settings) -> OpenMonitor:
        """Return the function that creates a monitor in this process."""
        return monitors_in_this_process(metrics, settings)

    def open_sampler(
        self, settings: Settings, registry: CollectorRegistry
    ) -> SampleSelector | None:
        """Return a sampler that writes in this process."""
        self._sampler = sampler_from(settings, registry)
        return self._sampler

    def admission(self, settings: Settings) -> Admission:
        """Return the limits of this process."""
        return Admission(
            max_requests=settings.max_pending,
            max_bytes=settings.max_pending_bytes,
            max_images=settings.max_pending_images,
        )

    def decode_memory(self, capacity: int) -> Reserve:  # noqa: ARG002
        """Hold nothing: the decode threads of this process share its memory."""
        return nullcontext

    def connect(self, metrics: Metrics, reloader: Reloader, keys: KeyStore | None) -> None:
        """Take the parts that are reloaded."""
        self._metrics, self._reloader, self._keys = metrics, reloader, keys

    async def collect(self) -> Collector:
        """Return the metrics of this process."""
        return self._metrics.registry

    async def reload(self, only: str | None) -> list[Change]:
        """Reload one model, or all of them."""
        return await self._reloader.reload(only)

    async def reload_all(self) -> None:
        """Reload keys and models."""
        # Keys first: a revoked key must not stay active until the models are loaded.
        if self._keys is not None:
            await self._keys.reload()
        await self._reloader.reload()

    async def close(self) -> None:
        """Release the state folder, and write the pending samples."""
        if self._state:
            self._state.close()
        if self._sampler:
            self._sampler.close()
