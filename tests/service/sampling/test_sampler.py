"""The sampler: which images it selects, and what it does if the store blocks or fails."""

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
from tests.e2e.conftest import wait_until
from tests.service.sampling.test_retention import Clock, MemoryStore

LIMITS = RequestLimits(max_body_bytes=10_000, max_images=8, max_pixels=1000)


class FixedRandom(random.Random):
    """Random numbers from a list."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self._values = list(values)

    def random(self) -> float:
        return self._values.pop(0)


def verdicts(decisions: str) -> list[Verdict]:
    """One verdict per letter: r is a rejection."""
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
        store: SampleStore,
        *,
        rate: float = 1.0,
        accept_rate: float = 0.0,
        generator: random.Random | None = None,
    ) -> tuple[Sampler, CollectorRegistry]:
        registry = CollectorRegistry()
        retention = Retention(store, max_bytes=10**6, max_images=100, max_age=None, now=Clock())
        sampler = Sampler(
            retention,
            rates={"reject": rate, "accept": accept_rate},
            limits=LIMITS,
            metrics=SampleMetrics(registry),
            random=generator or FixedRandom(*[0.0] * 10),
        )
        made.append(sampler)
        return sampler, registry

    yield make
    for sampler in made:
        sampler.close()


def counted(registry: CollectorRegistry, outcome: str) -> float:
    """The sum of both decisions."""
    values = [
        registry.get_sample_value(
            "oodguard_samples_total", {"decision": decision, "outcome": outcome}
        )
        for decision in ("accept", "reject")
    ]
    return sum(each for each in values if each is not None)


def stored_images(names: Sequence[str]) -> list[int]:
    """The indices of the stored images."""
    return sorted(
        int(name[: -len(".png")].rpartition("-")[2]) for name in names if name[-3:] == "png"
    )


def test_sampler_selects_each_rejected_image_independently(
    model: LoadedModel, make_sampler: MakeSampler
) -> None:
    store = MemoryStore()
    # Accepted images draw no number.
    sampler, registry = make_sampler(store, rate=0.25, generator=FixedRandom(0.2, 0.25, 0.9, 0.0))
    sampler.sample(model, "r", white_images(6), verdicts("rararr"))
    sampler.close()
    assert stored_images([*store.files]) == [0, 5]
    assert counted(registry, "kept") == 2
    assert registry.get_sample_value("oodguard_samples_held") == 2
    size = sum(len(data) for data in store.files.values())
    assert registry.get_sample_value("oodguard_samples_held_bytes") == size


def test_sampler_selects_accepted_images_at_their_own_rate(
    model: LoadedModel, make_sampler: MakeSampler
) -> None:
    store = MemoryStore()
    # Rejected images draw no number.
    sampler, registry = make_sampler(
        store, rate=0.0, accept_rate=0.25, generator=FixedRandom(0.2, 0.3, 0.1)
    )
    assert not sampler.selects(rejected=3, accepted=0)
    assert sampler.selects(rejected=0, accepted=1)
    sampler.sample(model, "r", white_images(5), verdicts("ararr"))
    sampler.sample(model, "s", white_images(1), verdicts("a"))
    sampler.close()
    assert stored_images([*store.files]) == [0, 0]
    labels = {"decision": "accept", "outcome": "kept"}
    assert registry.get_sample_value("oodguard_samples_total", labels) == 2


class BlockedStore(MemoryStore):
    """A store that blocks until `released` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.started = threading.Event()
        self.released = threading.Event()

    def put(self, name: str, data: bytes) -> None:
        self.started.set()
        assert self.released.wait(20)
        super().put(name, data)


def test_sampler_drops_samples_while_the_store_blocks(
    model: LoadedModel, make_sampler: MakeSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler_module, "MAX_PENDING", 2)
    store = BlockedStore()
    sampler, registry = make_sampler(store)
    sampler.sample(model, "in-progress", white_images(1), verdicts("r"))
    assert store.started.wait(20)
    for request_id in ("pending", "pending-too"):
        sampler.sample(model, request_id, white_images(1), verdicts("r"))
    # The store still blocks.
    sampler.sample(model, "dropped", white_images(3), verdicts("rrr"))
    assert counted(registry, "dropped") == 3
    assert counted(registry, "kept") == 0
    store.released.set()
    sampler.close()
    assert counted(registry, "kept") == 3
    assert not any("dropped" in name for name in store.files)


class FailingStore(MemoryStore):
    """A store whose first calls of `put` fail."""

    failures = 0

    def put(self, name: str, data: bytes) -> None:
        if self.failures:
            self.failures -= 1
            raise SampleStoreError("No space left on device")
        super().put(name, data)


@pytest.mark.parametrize(("failures", "stored"), [(3, []), (1, [1, 2])])
def test_sampler_counts_failures_and_logs_the_first_and_the_recovery(
    model: LoadedModel,
    make_sampler: MakeSampler,
    caplog: pytest.LogCaptureFixture,
    failures: int,
    stored: list[int],
) -> None:
    store = FailingStore()
    store.failures = failures
    with caplog.at_level(logging.INFO, "oodguard.samples"):
        sampler, registry = make_sampler(store)
        sampler.sample(model, "r", white_images(3), verdicts("rrr"))
        sampler.close()
    assert (counted(registry, "failed"), counted(registry, "kept")) == (failures, len(stored))
    assert stored_images([*store.files]) == stored
    levels = ["WARNING", "INFO"] if stored else ["WARNING"]
    assert [record.levelname for record in caplog.records] == levels
    assert caplog.messages[0] == "The sample store fails: samples are lost."
    assert caplog.records[0].__dict__["fields"] == {"error": "No space left on device"}


def test_sampler_logs_no_recovery_at_shutdown_while_the_store_fails(
    model: LoadedModel, make_sampler: MakeSampler, caplog: pytest.LogCaptureFixture
) -> None:
    store = FailingStore()
    store.failures = 1
    with caplog.at_level(logging.INFO, "oodguard.samples"):
        sampler, registry = make_sampler(store)
        sampler.sample(model, "r", white_images(1), verdicts("r"))
        wait_until(lambda: counted(registry, "failed") == 1)
        sampler.close()
    assert caplog.messages == ["The sample store fails: samples are lost."]
