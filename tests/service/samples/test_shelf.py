"""What is kept stays within its bounds, and the oldest makes room."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from oodguard.service.errors import SampleStoreError
from oodguard.service.sampling.retention import Retention
from oodguard.service.sampling.sample import Sample, stem

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Memory:
    """A store in memory that can be told not to remove."""

    def __init__(self, **files: bytes) -> None:
        self.files = {name.replace("__", "."): data for name, data in files.items()}
        self.removes = True
        self.looks = 0
        self.most = 0

    def held(self) -> Iterable[tuple[str, int]]:
        self.looks += 1
        return [(name, len(data)) for name, data in self.files.items()]

    def put(self, name: str, data: bytes) -> None:
        self.files[name] = data
        self.most = max(self.most, sum(len(each) for each in self.files.values()))

    def remove(self, name: str) -> None:
        if not self.removes:
            raise SampleStoreError("not allowed to remove")
        del self.files[name]


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def sample(seconds: float, *, size: int = 10) -> Sample:
    """A sample of `size` bytes, two of them its verdict's, from so many seconds after noon."""
    name = stem(NOON + timedelta(seconds=seconds), "r", 0)
    return Sample(stem=name, files={f"{name}.png": bytes(size - 2), f"{name}.json": b"{}"})


def shelf(
    store: Memory,
    *,
    max_bytes: int = 1000,
    max_images: int = 100,
    max_age: timedelta | None = None,
    clock: Clock | None = None,
) -> Retention:
    return Retention(
        store,
        max_bytes=max_bytes,
        max_images=max_images,
        max_age=max_age,
        now=clock or Clock(),
    )


def kept(store: Memory) -> list[str]:
    return sorted({name.rpartition(".")[0] for name in store.files})


def test_the_oldest_makes_room_for_bytes_and_the_bound_holds_at_every_moment() -> None:
    store = Memory()
    held = shelf(store, max_bytes=35)
    for second in range(5):
        held.put(sample(second))
    assert kept(store) == [sample(second).stem for second in (2, 3, 4)]
    assert (len(held), held.size) == (3, 30)
    assert store.most <= 35


def test_a_large_sample_takes_the_room_of_several() -> None:
    store = Memory()
    held = shelf(store, max_bytes=35)
    for second in range(3):
        held.put(sample(second))
    held.put(sample(3, size=25))
    assert kept(store) == [sample(2).stem, sample(3).stem]
    assert held.size == 35
    assert store.most <= 35


def test_the_oldest_makes_room_in_number() -> None:
    store = Memory()
    held = shelf(store, max_images=2)
    for second in range(4):
        held.put(sample(second))
    assert kept(store) == [sample(2).stem, sample(3).stem]


def test_a_sample_of_more_than_all_that_may_be_kept_drives_nothing_out() -> None:
    store = Memory()
    held = shelf(store, max_bytes=20)
    held.put(sample(0))
    with pytest.raises(SampleStoreError, match="21 bytes came; at most 20"):
        held.put(sample(1, size=21))
    assert kept(store) == [sample(0).stem]


def test_what_another_process_left_counts_and_goes_first() -> None:
    store = Memory()
    shelf(store).put(sample(0))
    shelf(store).put(sample(1))
    held = shelf(store, max_images=2)
    held.put(sample(2))
    assert kept(store) == [sample(1).stem, sample(2).stem]
    assert (len(held), held.size) == (2, 20)
    assert store.looks == 3


def test_files_that_are_no_samples_are_neither_counted_nor_removed() -> None:
    store = Memory(README__md=bytes(500), photo__png=bytes(500))
    held = shelf(store, max_bytes=10, max_images=1)
    held.put(sample(0))
    held.put(sample(1))
    assert kept(store) == sorted(["README", "photo", sample(1).stem])
    assert held.size == 10


def test_what_is_too_old_goes_without_anything_new_coming() -> None:
    store, clock = Memory(), Clock()
    held = shelf(store, max_age=timedelta(hours=1), clock=clock)
    held.put(sample(0))
    clock.now += timedelta(minutes=30)
    held.put(sample(30 * 60))
    clock.now = NOON + timedelta(hours=1)
    held.expire()
    assert len(held) == 2
    clock.now += timedelta(microseconds=1)
    held.expire()
    assert kept(store) == [sample(30 * 60).stem]


def test_a_store_that_does_not_remove_gets_no_more() -> None:
    store = Memory()
    held = shelf(store, max_bytes=20)
    held.put(sample(0))
    held.put(sample(1))
    store.removes = False
    with pytest.raises(SampleStoreError, match="not allowed"):
        held.put(sample(2))
    assert kept(store) == [sample(0).stem, sample(1).stem]
    assert (len(held), held.size) == (2, 20)
    store.removes = True
    held.put(sample(2))
    assert kept(store) == [sample(1).stem, sample(2).stem]
