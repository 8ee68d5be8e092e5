"""What Prometheus is told of samples."""

from typing import Literal, TypeAlias, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

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
