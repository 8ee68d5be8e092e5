"""A sampler from the settings: none unless they ask for one."""

import logging
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from service.payloads.types import Limits
from service.samples.errors import SamplesRefused
from service.samples.metrics import SampleMetrics
from service.samples.sampler import Sampler
from service.samples.shelf import Shelf
from service.samples.store import Store
from service.settings import Settings

logger = logging.getLogger("oodguard.samples")

S3 = "s3://"


def sampler_from(settings: Settings, registry: CollectorRegistry) -> Sampler | None:
    """Make ready what the settings ask for.

    Args:
        settings: What the operator set.
        registry: Where it is told what becomes of samples.

    Raises:
        SamplesRefused: They ask for a place that cannot be had.
    """
    metrics = SampleMetrics(registry)
    if not settings.sample_rate:
        return None
    days = settings.sample_max_days
    shelf = Shelf(
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
        limits=Limits(
            max_body_bytes=settings.max_body_bytes,
            max_images=settings.max_images,
            max_pixels=settings.max_pixels,
        ),
        metrics=metrics,
        chance=random.Random(),  # noqa: S311 - which images are looked at is no secret
    )


def _store(settings: Settings) -> Store:
    place = settings.sample_to
    if place is None:
        raise SamplesRefused(
            f"OODGUARD_SAMPLE_RATE is {settings.sample_rate:g} and OODGUARD_SAMPLE_TO names no"
            f" place; a folder or {S3}BUCKET/PREFIX is wanted"
        )
    if place.startswith(S3):
        return _bucket(place)
    if "://" in place:
        raise SamplesRefused(
            f"OODGUARD_SAMPLE_TO={place} came; a folder or {S3}BUCKET/PREFIX is wanted"
        )
    from service.samples.folder import FolderStore  # noqa: PLC0415 - only where it is wanted

    return FolderStore(Path(place))


def _bucket(url: str) -> Store:
    try:
        from service.samples.bucket import BucketStore  # noqa: PLC0415 - only where it is wanted
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("obstore"):
            raise
        raise SamplesRefused(
            f"OODGUARD_SAMPLE_TO={url} wants obstore, which is not installed; install ood-guard[s3]"
        ) from error
    return BucketStore(url)
