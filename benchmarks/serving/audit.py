"""Compare the service's Prometheus counters with the counts of its clients."""

import time
from collections import Counter
from collections.abc import Mapping
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.serving.load.tally import OK, Tally
from benchmarks.serving.requests import PREDICT

REQUESTS = "oodguard_requests_total"
DECISIONS = "oodguard_decisions_total"

DIFFERENCE = "counted differently"
"""The name in a round of the number of requests and images that were counted differently."""

SETTLE_TIMEOUT_S = 10.0
PAUSE_S = 0.2

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by name and labels."""


class Audit:
    """Compares the growth of the counters with the clients' counts from now on."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._before = settled(port)
        self._statuses: Counter[int] = Counter()
        self._images = self._unread = self._unread_images = 0

    def add(self, tally: Tally, *, images: int = 1) -> None:
        """Add the counts of one run with `images` images in each request."""
        self._statuses += Counter(tally.statuses)
        self._images += images * tally.statuses.get(OK, 0)
        self._unread += tally.unread
        self._unread_images += images * tally.unread

    def difference(self) -> float:
        """Return the number of requests and images that one side counted and the other did not.

        A request whose response was not read may have been answered or not. The service may
        therefore count up to that number more than its clients.
        """
        after = settled(self._port)
        extra = Counter(growth(self._before, after))
        extra.subtract(self._statuses)
        decisions = total(after, DECISIONS) - total(self._before, DECISIONS)
        return unexplained(list(extra.values()), self._unread) + unexplained(
            [decisions - self._images], self._unread_images
        )


def growth(before: Samples, after: Samples) -> dict[int, int]:
    """Return by status the number of requests to `/predict` that were counted in between."""
    earlier = by_label(before, REQUESTS, "code", route=PREDICT)
    later = by_label(after, REQUESTS, "code", route=PREDICT)
    return {int(code): round(count - earlier.get(code, 0)) for code, count in later.items()}


def unexplained(extra: list[float] | list[int], unread: int) -> float:
    """Return the sum of the differences that up to `unread` surplus requests do not explain."""
    surplus = sum(value for value in extra if value > 0)
    missing = -sum(value for value in extra if value < 0)
    return missing + max(0, surplus - unread)


def settled(port: int) -> Samples:
    """Return the metrics once the counters no longer change."""
    start = time.monotonic()
    samples = scrape(port)
    while True:
        time.sleep(PAUSE_S)
        last, samples = samples, scrape(port)
        if _counted(last) == _counted(samples) or time.monotonic() > start + SETTLE_TIMEOUT_S:
            return samples


def _counted(samples: Samples) -> tuple[float, float]:
    return total(samples, REQUESTS, route=PREDICT), total(samples, DECISIONS)


def scrape(port: int) -> Samples:
    """Read `/metrics` of the service on 127.0.0.1."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as response:
        return parse(response.read().decode())


def parse(text: str) -> Samples:
    """Parse the Prometheus text format."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum of the samples of `name` that have these labels among others."""
    return sum(
        value
        for (each, found), value in samples.items()
        if each == name and labels.items() <= set(found)
    )


def by_label(samples: Samples, name: str, label: str, **labels: str) -> dict[str, float]:
    """Return the sums of the samples of `name` that have these labels, by the value of `label`."""
    values = {dict(found)[label] for each, found in samples if each == name}
    return {value: total(samples, name, **{**labels, label: value}) for value in values}
