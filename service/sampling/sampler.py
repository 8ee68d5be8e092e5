"""Chooses which rejected images are kept, and keeps them in a thread of its own."""

import logging
import random
import threading
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from oodguard.models.verdicts import Verdict
from oodguard.service import responses as answers
from oodguard.service.errors import RequestError, SampleStoreError, SamplingError
from oodguard.service.images.types import Body, RequestLimits
from oodguard.service.inference.model import LoadedModel
from oodguard.service.sampling.retention import Retention
from oodguard.service.sampling.sample import Rejection, Sample, samples
from oodguard.service.sampling.stores import SampleStore
from oodguard.service.settings import Settings

Outcome: TypeAlias = Literal["kept", "dropped", "failed"]


class SampleMetrics:
    """Counts rejected images that were chosen to be kept, by what became of them.

    Args:
        registry: Where it is told.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        outcomes = Counter(
            "oodguard_samples_total",
            "Rejected images that were chosen to be kept, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self._outcomes = {each: outcomes.labels(each) for each in get_args(Outcome)}
        self._images = Gauge("oodguard_samples_held", "Samples that are kept.", registry=registry)
        self._bytes = Gauge(
            "oodguard_samples_held_bytes", "Bytes of the samples that are kept.", registry=registry
        )

    def count(self, outcome: Outcome, images: int = 1) -> None:
        """Count images."""
        self._outcomes[outcome].inc(images)

    def show(self, *, images: int, size: int) -> None:
        """Tell how much is held."""
        self._images.set(images)
        self._bytes.set(size)


class SampleQueue:
    """A queue that is bounded in requests and in bytes of their bodies.

    Args:
        max_requests: Most requests that wait.
        max_bytes: Most bytes of bodies that wait; one body may have more, alone.
    """

    def __init__(self, *, max_requests: int, max_bytes: int) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._bytes = 0
        self._line: deque[Rejection] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, rejection: Rejection) -> bool:
        """Let it wait, if there is room for it at once."""
        size = len(rejection.body.data)
        with self._changed:
            full = len(self._line) >= self._max_requests or self._bytes + size > self._max_bytes
            if self._closed or (self._line and full):
                return False
            self._line.append(rejection)
            self._bytes += size
            self._changed.notify()
        return True

    def take(self, within_s: float) -> Rejection | None:
        """Wait for the next; none where there is none in time, or will be none any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._line or self._closed, within_s)
            if not self._line:
                return None
            rejection = self._line.popleft()
            self._bytes -= len(rejection.body.data)
            return rejection

    def close(self) -> None:
        """Take no more; what waits may still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    @property
    def ended(self) -> bool:
        """Whether nothing waits and nothing will."""
        with self._changed:
            return self._closed and not self._line


logger = logging.getLogger("oodguard.samples")

# What waits is held in memory beyond the bounds on requests in flight.
MAX_WAITING = 256

MAX_WAITING_BYTES = 32 * 2**20

EXPIRE_EVERY_S = 600.0

LAST_S = 5.0


class Sampler:
    """Follows answered requests. Nothing waits for it: what it cannot take at once is dropped.

    Args:
        shelf: Keeps the samples.
        rate: Share of the rejected images that are kept.
        limits: Those that the bodies were read within.
        metrics: Where it is counted what became of them.
        chance: Where the choice comes from.
    """

    def __init__(
        self,
        shelf: Retention,
        *,
        rate: float,
        limits: RequestLimits,
        metrics: SampleMetrics,
        chance: random.Random,
    ) -> None:
        self._shelf = shelf
        self._rate = rate
        self._limits = limits
        self._metrics = metrics
        self._chance = chance
        self._waiting = SampleQueue(max_requests=MAX_WAITING, max_bytes=MAX_WAITING_BYTES)
        self._failing = False
        self._thread = threading.Thread(target=self._work, name="samples", daemon=True)
        self._thread.start()

    def follow(
        self, model: LoadedModel, request_id: str, body: Body, verdicts: Sequence[Verdict]
    ) -> None:
        """Maybe keep some of the images that `model` has just rejected."""
        chosen = {
            index: verdict
            for index, verdict in enumerate(verdicts)
            if verdict.decision == "reject" and self._chance.random() < self._rate
        }
        if not chosen:
            return
        rejection = Rejection(
            at=datetime.now(UTC),
            request_id=request_id,
            body=body,
            model=answers.identity(model),
            policy=answers.policy(model),
            verdicts=chosen,
        )
        if not self._waiting.put(rejection):
            self._metrics.count("dropped", len(chosen))

    def close(self) -> None:
        """Keep what waits, for a few seconds at most."""
        self._waiting.close()
        self._thread.join(LAST_S)

    def _work(self) -> None:
        self._expire()
        while not self._waiting.ended:
            rejection = self._waiting.take(EXPIRE_EVERY_S)
            if rejection is None:
                self._expire()
            else:
                self._keep_all(rejection)

    def _keep_all(self, rejection: Rejection) -> None:
        left = len(rejection.verdicts)
        try:
            for sample in samples(rejection, self._limits):
                self._keep(sample)
                left -= 1
        except RequestError as error:
            self._metrics.count("failed", left)
            logger.warning("a body that was judged cannot be read again: %s", error)

    def _keep(self, sample: Sample) -> None:
        try:
            self._shelf.put(sample)
        except SampleStoreError as error:
            self._metrics.count("failed")
            self._tell(error)
        else:
            self._metrics.count("kept")
            self._tell(None)

    def _expire(self) -> None:
        try:
            self._shelf.expire()
        except SampleStoreError as error:
            self._tell(error)
        else:
            self._tell(None)

    def _tell(self, error: SampleStoreError | None) -> None:
        """Show what is held; log that it begins to fail and that it ends, not each time between."""
        self._metrics.show(images=len(self._shelf), size=self._shelf.size)
        if error and not self._failing:
            logger.warning("rejected images are not kept: %s", error)
        if self._failing and not error:
            logger.info("rejected images are kept again")
        self._failing = error is not None


S3 = "s3://"


def sampler_from(settings: Settings, registry: CollectorRegistry) -> Sampler | None:
    """Make ready what the settings ask for.

    Args:
        settings: What the operator set.
        registry: Where it is told what becomes of samples.

    Raises:
        SamplingError: They ask for a place that cannot be had.
    """
    metrics = SampleMetrics(registry)
    if not settings.sample_rate:
        return None
    days = settings.sample_max_days
    shelf = Retention(
        _store(settings),
        max_bytes=settings.sample_max_bytes,
        max_images=settings.sample_max_images,
        max_age=None if days is None else timedelta(days=days),
        now=lambda: datetime.now(UTC),
    )
    logger.info(
        "a share of %g of the rejected images is kept in %s",
        settings.sample_rate,
        settings.sample_to,
    )
    return Sampler(
        shelf,
        rate=settings.sample_rate,
        limits=RequestLimits(
            max_body_bytes=settings.max_body_bytes,
            max_images=settings.max_images,
            max_pixels=settings.max_pixels,
        ),
        metrics=metrics,
        chance=random.Random(),  # noqa: S311 - which images are looked at is no secret
    )


def _store(settings: Settings) -> SampleStore:
    place = settings.sample_to
    if place is None:
        raise SamplingError(
            f"OODGUARD_SAMPLE_RATE is {settings.sample_rate:g} and OODGUARD_SAMPLE_TO names no"
            f" place; a folder or {S3}BUCKET/PREFIX is wanted"
        )
    if place.startswith(S3):
        return _bucket(place)
    if "://" in place:
        raise SamplingError(
            f"OODGUARD_SAMPLE_TO={place} came; a folder or {S3}BUCKET/PREFIX is wanted"
        )
    from oodguard.service.sampling.stores import FolderStore  # noqa: PLC0415 - only where it is wanted

    return FolderStore(Path(place))


def _bucket(url: str) -> SampleStore:
    try:
        from oodguard.service.sampling.s3_store import S3Store  # noqa: PLC0415 - only where it is wanted
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("obstore"):
            raise
        raise SamplingError(
            f"OODGUARD_SAMPLE_TO={url} wants obstore, which is not installed; install ood-guard[s3]"
        ) from error
    return S3Store(url)
