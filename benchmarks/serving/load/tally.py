"""The counts of the clients of one run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

OK = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """The responses of one run.

    Attributes:
        elapsed_s: Seconds from the first request to the last response.
        statuses: Number of whole responses, by status.
        broken: Requests that were sent and whose connection was closed before the whole response.
        unread: Requests that were sent and whose response was not awaited.
        refused: Connections that could not be opened; nothing was sent over them.
        latencies_s: Seconds from the time at which a request was due to its whole response, by
            status.
    """

    elapsed_s: float
    statuses: Mapping[int, int]
    broken: int = 0
    unread: int = 0
    refused: int = 0
    latencies_s: Mapping[int, Sequence[float]] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        """The number of sent requests."""
        return sum(self.statuses.values()) + self.broken + self.unread

    @property
    def failed(self) -> int:
        """The number of requests with another status than 200 or a broken connection."""
        return sum(self.statuses.values()) - self.statuses.get(OK, 0) + self.broken

    @property
    def goodput(self) -> float:
        """Responses with status 200 per second."""
        return self.statuses.get(OK, 0) / self.elapsed_s

    def latency_ms(self, status: int, share: float) -> float:
        """Return the latency that `share` of a status's responses do not exceed; NaN if none."""
        ordered = sorted(self.latencies_s.get(status, ()))
        if not ordered:
            return math.nan
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] * 1000
