"""What a row is measured with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.graph import Graph
from benchmarks.serving.pictures import pictures

Round = dict[str, float]
"""What was measured in one round, by name: only values of one round are compared."""


class NotAvailable(Exception):
    """A row cannot be measured here; the message says what is missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One bundle on one machine, and how long everything takes.

    Attributes:
        bundle: The folder that every server serves.
        threads: Threads of one run of the graph, the same for every server and bare loop.
        rounds: How often everything is measured.
        seconds: Length of one measurement of a rate.
        overload_s: Length of one overload.
        requests: Requests over all rounds, for the rows that count failures.
        scratch: A folder for logs and bundles.
        environments: The folder of the peers' virtual environments.
        say: Where progress goes.
    """

    bundle: Path
    threads: int
    rounds: int
    seconds: int
    overload_s: float
    requests: int
    scratch: Path
    environments: Path
    say: Callable[[str], None]

    def graph(self) -> Graph:
        """Open the bundle's graph without a server."""
        return Graph(self.bundle, threads=self.threads)

    def pictures(self, count: int) -> NDArray[np.uint8]:
        """Real pictures of the model's size, `(count, H, W, 3)`."""
        return pictures(count, self.graph().size)
