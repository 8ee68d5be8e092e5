"""The sampler chooses by chance, and no request waits for it."""

import logging
import random
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from prometheus_client import CollectorRegistry

from oodguard.models.verdicts import Verdict
from oodguard.service.errors import SampleStoreError
from oodguard.service.images.types import Body, RequestLimits
from oodguard.service.inference.model import LoadedModel
from oodguard.service.sampling import sampler as sampler_module
from oodguard.service.sampling.retention import Retention
from oodguard.service.sampling.sampler import SampleMetrics, Sampler
from oodguard.service.sampling.stores import SampleStore
from tests.service.samples.test_shelf import Clock, Memory

LIMITS = RequestLimits(max_body_bytes=10_000, max_images=8, max_pixels=1000)


class Chance(random.Random):
    """Chance that is known before."""

    def __init__(self, *drawn: float) -> None:
        super().__init__()
        self._drawn = list(drawn)

    def random(self) -> float:
        return self._drawn.pop(0)


def verdicts(decisions: str) -> list[Verdict]:
    """One verdict a letter: r is a rejection."""
    return [
        Verdict(
            label="red",
            class_id=0,
            confidence=0.5,
            scores={"brightness": 1.0},
            p_value=0.5,
            decision="reject" if letter == "r" else "accept",
        )
        for letter in decisions
    ]


def white_images(number: int) -> Body:
    return Body(
        data=bytes([255]) * (number * 12),
        content_type="application/octet-stream",
        options={},
        shape=f"{number},2,2,3",
    )


MakeSampler = Callable[..., tuple[Sampler, CollectorRegistry]]


@pytest.fixture
def make_sampler() -> Iterator[MakeSampler]:
    made: list[Sampler] = []

    def make(
        store: SampleStore, *, rate: float = 1.0, chance: random.Random | None = None
    ) -> tuple[Sampler, CollectorRegistry]:
        registry = CollectorRegistry()
        shelf = Retention(store, max_bytes=10**6, max_images=100, max_age=None, now=Clock())
        sampler = Sampler(
            shelf,
            rate=rate,
            limits=LIMITS,
            metrics=SampleMetrics(registry),
            chance=chance or Chance(*[0.0] * 10),
        )
        made.append(sampler)
        return sampler, registry

    yield make
    for sampler in made:
        sampler.close()


def counted(registry: CollectorRegistry, outcome: str) -> float | None:
    return registry.get_sample_value("oodguard_samples_total", {"outcome": outcome})


def kept_images(names: Sequence[str]) -> list[int]:
    """The places of the images that were kept, by their files' names."""
    return sorted(
        int(name[: -len(".png")].rpartition("-")[2]) for name in names if name[-3:] == "png"
    )


def test_each_rejected_image_is_kept_by_a_chance_of_its_own(
    model: LoadedModel, make_sampler: MakeSampler
) -> None:
    store = Memory()
    # Accepted images draw nothing.
    sampler, registry = make_sampler(store, rate=0.25, chance=Chance(0.2, 0.25, 0.9, 0.0))
    sampler.follow(model, "r", white_images(6), verdicts("rararr"))
    sampler.close()
    assert kept_images([*store.files]) == [0, 5]
    assert counted(registry, "kept") == 2
    assert registry.get_sample_value("oodguard_samples_held") == 2
    size = sum(len(data) for data in store.files.values())
    assert registry.get_sample_value("oodguard_samples_held_bytes") == size


class Slow(Memory):
    """A store that does not come back before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.told = threading.Event()

    def put(self, name: str, data: bytes) -> None:
        self.begun.set()
        assert self.told.wait(20)
        super().put(name, data)


def test_a_slow_store_holds_nobody_up_and_what_it_cannot_take_is_dropped_and_counted(
    model: LoadedModel, make_sampler: MakeSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler_module, "MAX_WAITING", 2)
    store = Slow()
    sampler, registry = make_sampler(store)
    sampler.follow(model, "in-work", white_images(1), verdicts("r"))
    assert store.begun.wait(20)
    for request_id in ("waits", "waits-too"):
        sampler.follow(model, request_id, white_images(1), verdicts("r"))
    # Each of these comes back while the store still does not.
    sampler.follow(model, "dropped", white_images(3), verdicts("rrr"))
    assert counted(registry, "dropped") == 3
    assert counted(registry, "kept") == 0
    store.told.set()
    sampler.close()
    assert counted(registry, "kept") == 3
    assert not any("dropped" in name for name in store.files)


class Failing(Memory):
    """A store that takes nothing while it is broken."""

    broken = True

    def put(self, name: str, data: bytes) -> None:
        if self.broken:
            raise SampleStoreError("no room on the device")
        super().put(name, data)


def test_a_store_that_fails_is_counted_each_time_and_logged_once(
    model: LoadedModel, make_sampler: MakeSampler, caplog: pytest.LogCaptureFixture
) -> None:
    store = Failing()
    with caplog.at_level(logging.INFO, "oodguard.samples"):
        sampler, registry = make_sampler(store)
        sampler.follow(model, "r", white_images(3), verdicts("rrr"))
        sampler.close()
    assert counted(registry, "failed") == 3
    assert [record.getMessage() for record in caplog.records] == [
        "rejected images are not kept: no room on the device"
    ]


def test_after_a_failure_the_next_sample_is_kept_and_the_log_says_so(
    model: LoadedModel, make_sampler: MakeSampler, caplog: pytest.LogCaptureFixture
) -> None:
    class Recovering(Failing):
        def put(self, name: str, data: bytes) -> None:
            try:
                super().put(name, data)
            finally:
                self.broken = False

    store = Recovering()
    with caplog.at_level(logging.INFO, "oodguard.samples"):
        sampler, registry = make_sampler(store)
        sampler.follow(model, "r", white_images(3), verdicts("rrr"))
        sampler.close()
    assert (counted(registry, "failed"), counted(registry, "kept")) == (1, 2)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert kept_images([*store.files]) == [1, 2]
