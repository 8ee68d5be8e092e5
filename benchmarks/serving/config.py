"""The configuration of one measurement."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.graph import Graph
from benchmarks.serving.requests import read_images

Round = dict[str, float]
"""The measured values of one round, by name. Only values of the same round are compared."""


class NotAvailable(Exception):
    """A row cannot be measured on this machine; the message states what is missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """One bundle on one machine, and the lengths of the measurements.

    Attributes:
        bundle: The folder that every server serves.
        threads: CPUs for all runs of the graph, the same for every server and bare loop.
        workers: Worker processes of the service, except in the figures of one worker.
        baseline: A checkout of an earlier commit that is compared, or None.
        baseline_bundle: The bundle that it serves.
        rounds: Number of rounds.
        seconds: Length of one measurement of a rate.
        overload_s: Length of one overload.
        requests: Requests over all rounds, for the rows that count failures.
        scratch: A folder for logs and bundles.
        environments: The folder of the peers' virtual environments.
        log: Receives progress messages.
    """

    bundle: Path
    threads: int
    workers: int
    baseline: Path | None = None
    baseline_bundle: Path | None = None
    rounds: int
    seconds: int
    overload_s: float
    requests: int
    scratch: Path
    environments: Path
    log: Callable[[str], None]

    def graph(self) -> Graph:
        """Open the bundle's graph without a server."""
        return Graph(self.bundle, threads=self.threads)

    def images(self, count: int) -> NDArray[np.uint8]:
        """Return real images of the model's size, `(count, H, W, 3)`."""
        return read_images(count, self.graph().size)
