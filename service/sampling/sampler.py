"""Sample predicted images and write them from a background thread."""

import logging
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal, TypeAlias, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from oodguard.models.verdicts import Decision, Verdict
from oodguard.service import responses
from oodguard.service.errors import RequestError, SampleStoreError, SamplingError
from oodguard.service.images.types import Body, RequestLimits
from oodguard.service.inference.model import LoadedModel
from oodguard.service.sampling.retention import Retention
from oodguard.service.sampling.sample import SampledRequest, build_samples
from oodguard.service.sampling.sample_queue import SampleQueue
from oodguard.service.sampling.stores import EXPECTED, open_store
from oodguard.service.settings import Settings

logger = logging.getLogger("oodguard.samples")

# Pending requests use memory in addition to the limits on requests in flight.
MAX_PENDING = 256

MAX_PENDING_BYTES = 32 * 2**20

EXPIRE_INTERVAL_S = 600.0

SHUTDOWN_TIMEOUT_S = 5.0

Outcome: TypeAlias = Literal["kept", "dropped", "failed"]


class SampleMetrics:
    """Prometheus metrics of the samples."""

    def __init__(self, registry: CollectorRegistry) -> None:
        outcomes = Counter(
            "oodguard_samples_total",
            "Images that were selected as samples, by decision and outcome.",
            ["decision", "outcome"],
            registry=registry,
        )
        self._outcomes = {
            (decision, outcome): outcomes.labels(decision, outcome)
            for decision in get_args(Decision)
            for outcome in get_args(Outcome)
        }
        self._images = Gauge("oodguard_samples_held", "Stored samples.", registry=registry)
        self._bytes = Gauge(
            "oodguard_samples_held_bytes", "Size of the stored samples in bytes.", registry=registry
        )

    def count(self, outcome: Outcome, verdicts: Iterable[Verdict]) -> None:
        """Count selected images by decision and outcome."""
        for verdict in verdicts:
            self._outcomes[verdict.decision, outcome].inc()

    def set_stored(self, *, images: int, size: int) -> None:
        """Set the number and the size of the stored samples."""
        self._images.set(images)
        self._bytes.set(size)


class SampleSelector(ABC):
    """Select the images of answered requests that are sampled; `sample` stores or sends them.

    Args:
        rates: Share of the images with each decision that are sampled.
        random: Selects the images.
    """

    def __init__(self, rates: Mapping[Decision, float], random: random.Random) -> None:
        self._rates = rates
        self._random = random

    def selects(self, *, rejected: int, accepted: int) -> bool:
        """Return whether any of these images may be selected."""
        return bool(rejected * self._rates["reject"] or accepted * self._rates["accept"])

    @abstractmethod
    def sample(
        self,
        model: LoadedModel,
        request_id: str,
        body: Body,
        verdicts: Sequence[Verdict],
        fdr: float | None = None,
    ) -> None:
        """Select some of the images of a request, and store or send them."""

    def select(
        self,
        model: LoadedModel,
        request_id: str,
        body: Body,
        verdicts: Sequence[Verdict],
        fdr: float | None = None,
    ) -> SampledRequest | None:
        """Select some of the images of a request; None: no image.

        `fdr` is the false-discovery rate at which they were decided, if there was one.
        """
        selected = {
            index: verdict
            for index, verdict in enumerate(verdicts)
            if self._rates[verdict.decision]
            and self._random.random() < self._rates[verdict.decision]
        }
        if not selected:
            return None
        return SampledRequest(
            at=datetime.now(UTC),
            request_id=request_id,
            body=body,
            model=responses.identity(model),
            policy=responses.policy(model, fdr=fdr),
            verdicts=selected,
        )


class Sampler(SampleSelector):
    """Sample images of answered requests.

    Requests never wait for it: samples that do not fit into the queue are dropped.

    Args:
        retention: Stores the samples within limits.
        rates: Share of the images with each decision that are sampled.
        limits: The limits that the bodies were parsed with.
        metrics: Counts the samples.
        random: Selects the images.
    """

    def __init__(
        self,
        retention: Retention,
        *,
        rates: Mapping[Decision, float],
        limits: RequestLimits,
        metrics: SampleMetrics,
        random: random.Random,
    ) -> None:
        super().__init__(rates, random)
        self._retention = retention
        self._limits = limits
        self._metrics = metrics
        self._queue = SampleQueue(max_requests=MAX_PENDING, max_bytes=MAX_PENDING_BYTES)
        self._failing = False
        self._thread = threading.Thread(target=self._work, name="samples", daemon=True)
        self._thread.start()

    def sample(
        self,
        model: LoadedModel,
        request_id: str,
        body: Body,
        verdicts: Sequence[Verdict],
        fdr: float | None = None,
    ) -> None:
        """Select some of the images of a request and queue them."""
        if request := self.select(model, request_id, body, verdicts, fdr):
            self.write(request)

    def write(self, request: SampledRequest) -> None:
        """Queue selected images."""
        if not self._queue.put(request):
            self._metrics.count("dropped", request.verdicts.values())

    def count_dropped(self, verdicts: Iterable[Verdict]) -> None:
        """Count selected images that could not be queued."""
        self._metrics.count("dropped", verdicts)

    def close(self) -> None:
        """Write the pending samples, or give up after a few seconds."""
        self._queue.close()
        self._thread.join(SHUTDOWN_TIMEOUT_S)

    def _work(self) -> None:
        self._attempt(self._retention.expire)
        while not self._queue.finished:
            request = self._queue.take(EXPIRE_INTERVAL_S)
            if request is None:
                self._attempt(self._retention.expire)
            else:
                self._store_all(request)

    def _store_all(self, request: SampledRequest) -> None:
        remaining = dict(request.verdicts)
        try:
            for sample in build_samples(request, self._limits):
                stored = self._attempt(partial(self._retention.put, sample))
                if stored and self._failing:
                    logger.info("The sample store works again.")
                    self._failing = False
                verdict = remaining.pop(sample.index)
                self._metrics.count("kept" if stored else "failed", [verdict])
        except RequestError as error:
            self._metrics.count("failed", remaining.values())
            logger.warning(
                "The body of a sampled request cannot be parsed.",
                extra={"fields": {"request_id": request.request_id, "error": str(error)}},
            )

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Run an action on the store; log the first failure and the recovery, not each failure.

        Only a stored sample is a recovery: expiring samples does not use the store if none is old.
        """
        error = ""
        try:
            action()
        except SampleStoreError as failure:
            error = str(failure)
        self._metrics.set_stored(images=len(self._retention), size=self._retention.size)
        if error and not self._failing:
            logger.warning(
                "The sample store fails: samples are lost.", extra={"fields": {"error": error}}
            )
        self._failing = self._failing or bool(error)
        return not error


def sample_rates(settings: Settings) -> Mapping[Decision, float]:
    """Return the share of the images with each decision that are sampled."""
    return {"reject": settings.sample_rate, "accept": settings.sample_accept_rate}


def sampler_from(settings: Settings, registry: CollectorRegistry) -> Sampler | None:
    """Create the sampler that the settings request, or return None.

    Raises:
        SamplingError: The store is missing, invalid or not writable.
    """
    metrics = SampleMetrics(registry)
    rates = sample_rates(settings)
    if not any(rates.values()):
        return None
    if settings.sample_to is None:
        raise SamplingError(
            f"OODGUARD_SAMPLE_RATE is {rates['reject']:g} and OODGUARD_SAMPLE_ACCEPT_RATE is"
            f" {rates['accept']:g}, but OODGUARD_SAMPLE_TO is not set: {EXPECTED}."
        )
    days = settings.sample_max_days
    retention = Retention(
        open_store(settings.sample_to, write=True),
        max_bytes=settings.sample_max_bytes,
        max_images=settings.sample_max_images,
        max_age=None if days is None else timedelta(days=days),
        now=lambda: datetime.now(UTC),
    )
    logger.info("Images are sampled.", extra={"fields": {"rates": rates, "to": settings.sample_to}})
    return Sampler(
        retention,
        rates=rates,
        limits=RequestLimits.of(settings),
        metrics=metrics,
        random=random.Random(),  # noqa: S311 - the selection is not secret
    )
