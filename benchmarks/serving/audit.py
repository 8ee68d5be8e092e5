"""Do the service's counters say what its clients counted?"""

import time
from collections import Counter

from benchmarks.serving.exposition import Samples, by_label, scrape, total
from benchmarks.serving.load.tally import OK, Tally
from benchmarks.serving.requests import PREDICT

REQUESTS = "oodguard_requests_total"
DECISIONS = "oodguard_decisions_total"

DIFFERENCE = "counted differently"
"""Under which name a round keeps what was counted differently."""

SETTLED_WITHIN_S = 10.0
PAUSE_S = 0.2


class Audit:
    """Compares how much the counters grow with what the clients count from here on."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._before = settled(port)
        self._answers: Counter[int] = Counter()
        self._images = self._unread = self._unread_images = 0

    def add(self, tally: Tally, *, images: int = 1) -> None:
        """Count what a run's clients counted, with so many images in each request."""
        self._answers += Counter(tally.answers)
        self._images += images * tally.answers.get(OK, 0)
        self._unread += tally.unread
        self._unread_images += images * tally.unread

    def difference(self) -> float:
        """Requests and images that one side counted and the other did not.

        The requests whose answer nobody waited for may have been answered or not: up to their
        number, what the service counts beyond its clients is no difference.
        """
        after = settled(self._port)
        counted = growth(self._before, after)
        extra = Counter(counted)
        extra.subtract(self._answers)
        judged = total(after, DECISIONS) - total(self._before, DECISIONS)
        return unexplained(list(extra.values()), self._unread) + unexplained(
            [judged - self._images], self._unread_images
        )


def growth(before: Samples, after: Samples) -> dict[int, int]:
    """How many more requests to /predict were counted, by status."""
    earlier = by_label(before, REQUESTS, "code", route=PREDICT)
    later = by_label(after, REQUESTS, "code", route=PREDICT)
    return {int(code): round(count - earlier.get(code, 0)) for code, count in later.items()}


def unexplained(extra: list[float] | list[int], unread: int) -> float:
    """What remains of the differences when `unread` surplus ones are taken for the unread."""
    surplus = sum(value for value in extra if value > 0)
    missing = -sum(value for value in extra if value < 0)
    return missing + max(0, surplus - unread)


def settled(port: int) -> Samples:
    """The metrics once nothing is counted any more."""
    began = time.monotonic()
    samples = scrape(port)
    while True:
        time.sleep(PAUSE_S)
        last, samples = samples, scrape(port)
        if _counted(last) == _counted(samples) or time.monotonic() > began + SETTLED_WITHIN_S:
            return samples


def _counted(samples: Samples) -> tuple[float, float]:
    return total(samples, REQUESTS, route=PREDICT), total(samples, DECISIONS)
