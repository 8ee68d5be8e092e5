from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oodguard.service.errors import SampleStoreError
from oodguard.service.sampling.retention import Retention
from oodguard.service.sampling.sample import Sample, sample_stem

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class MemoryStore:
    """A store in memory whose `remove` can fail."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.removes = True
        self.lists = 0
        self.most = 0

    def list_files(self) -> Iterable[tuple[str, int]]:
        self.lists += 1
        return [(name, len(data)) for name, data in self.files.items()]

    def list_names(self) -> Iterable[str]:
        return list(self.files)

    def get(self, name: str, max_bytes: int) -> bytes:
        return self.files[name][:max_bytes]

    def put(self, name: str, data: bytes) -> None:
        self.files[name] = data
        self.most = max(self.most, sum(len(each) for each in self.files.values()))

    def remove(self, name: str) -> None:
        if not self.removes:
            raise SampleStoreError("not allowed to remove")
        del self.files[name]


class Clock:
    """A clock with a settable time."""

    now = NOON

    def __call__(self) -> datetime:
        return self.now


def sample(seconds: float, *, size: int = 10) -> Sample:
    """A sample of `size` bytes, taken `seconds` after noon."""
    name = sample_stem(NOON + timedelta(seconds=seconds), "r", 0)
    return Sample(stem=name, index=0, files={f"{name}.png": bytes(size - 2), f"{name}.json": b"{}"})


def limited(
    store: MemoryStore,
    *,
    max_bytes: int = 1000,
    max_images: int = 100,
    max_age: timedelta | None = None,
    now: Clock = Clock(),  # noqa: B008 - only read
) -> Retention:
    return Retention(store, max_bytes=max_bytes, max_images=max_images, max_age=max_age, now=now)


def stored(store: MemoryStore) -> list[str]:
    return sorted({name.rpartition(".")[0] for name in store.files})


@pytest.mark.parametrize(
    ("limits", "sizes", "kept"),
    [
        pytest.param({"max_bytes": 35}, [10, 10, 10, 10, 10], [2, 3, 4], id="bytes"),
        pytest.param({"max_bytes": 35}, [10, 10, 10, 25], [2, 3], id="several for a large one"),
        pytest.param({"max_images": 2}, [10, 10, 10, 10], [2, 3], id="number"),
    ],
)
def test_retention_removes_the_oldest_before_it_stores_a_sample(
    limits: dict[str, Any], sizes: list[int], kept: list[int]
) -> None:
    store = MemoryStore()
    retention = limited(store, **limits)
    for second, size in enumerate(sizes):
        retention.put(sample(second, size=size))
    assert stored(store) == [sample(second).stem for second in kept]
    assert (len(retention), retention.size) == (len(kept), sum(sizes[second] for second in kept))
    assert store.most <= 35


def test_retention_rejects_a_sample_above_the_limit() -> None:
    store = MemoryStore()
    retention = limited(store, max_bytes=20)
    retention.put(sample(0))
    with pytest.raises(SampleStoreError, match="21 bytes, expected at most 20"):
        retention.put(sample(1, size=21))
    assert stored(store) == [sample(0).stem]


def test_retention_counts_samples_of_earlier_processes() -> None:
    store = MemoryStore()
    limited(store).put(sample(0))
    limited(store).put(sample(1))
    retention = limited(store, max_images=2)
    retention.put(sample(2))
    assert stored(store) == [sample(1).stem, sample(2).stem]
    assert (len(retention), retention.size) == (2, 20)
    assert store.lists == 3


def test_retention_ignores_other_files() -> None:
    store = MemoryStore()
    store.files = {"README.md": bytes(500), "photo.png": bytes(500)}
    retention = limited(store, max_bytes=10, max_images=1)
    retention.put(sample(0))
    retention.put(sample(1))
    assert stored(store) == sorted(["README", "photo", sample(1).stem])
    assert retention.size == 10


def test_retention_expires_old_samples() -> None:
    store, clock = MemoryStore(), Clock()
    retention = limited(store, max_age=timedelta(hours=1), now=clock)
    retention.put(sample(0))
    clock.now += timedelta(minutes=30)
    retention.put(sample(30 * 60))
    clock.now = NOON + timedelta(hours=1)
    retention.expire()
    assert len(retention) == 2
    clock.now += timedelta(microseconds=1)
    retention.expire()
    assert stored(store) == [sample(30 * 60).stem]


def test_retention_stores_nothing_if_removal_fails() -> None:
    store = MemoryStore()
    retention = limited(store, max_bytes=20)
    retention.put(sample(0))
    retention.put(sample(1))
    store.removes = False
    with pytest.raises(SampleStoreError, match="not allowed"):
        retention.put(sample(2))
    assert stored(store) == [sample(0).stem, sample(1).stem]
    assert (len(retention), retention.size) == (2, 20)
    store.removes = True
    retention.put(sample(2))
    assert stored(store) == [sample(1).stem, sample(2).stem]
