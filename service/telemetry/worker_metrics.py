"""Prometheus metrics of the worker processes. One process of the service has them."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class WorkerMetrics:
    """The number of worker processes, and of replacements.

    A service of one process is its only worker, which is never replaced.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._serving = Gauge(
            "oodguard_workers", "Worker processes that serve requests.", registry=registry
        )
        self._replaced = Counter(
            "oodguard_workers_replaced_total",
            "Worker processes that ended unexpectedly and were replaced.",
            registry=registry,
        )
        self.set_serving(1)

    def set_serving(self, workers: int) -> None:
        """Set the number of workers that serve requests."""
        self._serving.set(workers)

    def count_replaced(self) -> None:
        """Count a worker that ended unexpectedly."""
        self._replaced.inc()
