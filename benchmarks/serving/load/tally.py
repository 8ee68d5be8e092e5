"""What the clients of one run counted."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

OK = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """The answers of one run.

    Attributes:
        elapsed_s: From the first request to the last answer.
        answers: Whole answers, by status.
        broken: Requests that were sent and whose connection closed before the whole answer.
        unread: Requests that were sent and whose answer nobody waited for.
        refused: Connections that could not be opened; nothing was sent over them.
        latencies_s: Seconds from when a request was to be sent to its whole answer, by status.
    """

    elapsed_s: float
    answers: Mapping[int, int]
    broken: int = 0
    unread: int = 0
    refused: int = 0
    latencies_s: Mapping[int, Sequence[float]] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        """Every request that was sent."""
        return sum(self.answers.values()) + self.broken + self.unread

    @property
    def failed(self) -> int:
        """Requests that were sent and not answered with 200, but for those nobody waited for."""
        return sum(self.answers.values()) - self.answers.get(OK, 0) + self.broken

    @property
    def goodput(self) -> float:
        """Answers 200 a second."""
        return self.answers.get(OK, 0) / self.elapsed_s

    def latency_ms(self, status: int, share: float) -> float:
        """Latency that `share` of the answers of a status keep to; NaN where there is none."""
        ordered = sorted(self.latencies_s.get(status, ()))
        if not ordered:
            return math.nan
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] * 1000


def by_status(answers: Mapping[int, int]) -> str:
    """Statuses with their counts, for a person: `200: 31, 429: 4`."""
    return ", ".join(f"{status}: {count}" for status, count in sorted(Counter(answers).items()))
