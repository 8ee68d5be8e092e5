"""The number of worker processes."""

import pytest

from oodguard.service.memory import MemoryLimit
from oodguard.service.settings import Settings
from oodguard.service.workers import count
from oodguard.service.workers.count import settings_of_worker, worker_count, workers_in_memory

GIB = 2**30


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count, "cpu_count", lambda: 8)
    monkeypatch.setattr(count, "memory_limit", lambda: MemoryLimit(bytes=64 * GIB, source="test"))
    monkeypatch.setattr(count, "runtime_has_cuda", lambda: False)


@pytest.mark.parametrize(
    ("settings", "workers"),
    [
        ({}, 8),
        ({"threads": 3}, 3),
        ({"threads_per_run": 2}, 4),
        ({"threads_per_run": 16}, 1),
        ({"workers": 1}, 1),
        ({"workers": 5}, 5),
        ({"device": "cuda"}, 1),
        ({"device": "tensorrt"}, 1),
        ({"device": "cpu"}, 8),
    ],
)
def test_worker_count_follows_the_cpus(settings: dict[str, object], workers: int) -> None:
    assert worker_count(Settings(**settings)) == workers  # type: ignore[arg-type]


def test_worker_count_is_one_if_the_runtime_may_use_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count, "runtime_has_cuda", lambda: True)
    assert worker_count(Settings()) == 1
    assert worker_count(Settings(device="cpu")) == 8


def test_worker_count_is_one_on_one_cpu_and_on_other_systems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(count, "cpu_count", lambda: 1)
    assert worker_count(Settings()) == 1
    monkeypatch.setattr(count, "cpu_count", lambda: 8)
    monkeypatch.setattr("sys.platform", "darwin")
    assert worker_count(Settings()) == 1


def test_worker_count_is_one_in_a_process_with_threads() -> None:
    assert worker_count(Settings(), threads=2) == 1
    assert worker_count(Settings(workers=3), threads=2) == 3


@pytest.mark.parametrize(("gib", "workers"), [(0.5, 1), (1, 1), (1.5, 2), (2, 3), (3, 5)])
def test_workers_in_memory_leave_room_for_the_service(gib: float, workers: int) -> None:
    assert workers_in_memory(MemoryLimit(bytes=int(gib * GIB), source="test")) == workers


def test_workers_in_memory_of_an_unknown_size_is_one() -> None:
    assert workers_in_memory(None) == 1


def test_settings_of_worker_divide_the_cpus() -> None:
    each = settings_of_worker(Settings(decode_threads=12), 4)
    assert (each.threads, each.decode_threads) == (2, 3)
    few = settings_of_worker(Settings(threads_per_run=2), 8)
    assert (few.threads, few.decode_threads) == (2, 1)
