from typing import Any

import loky
import pytest

from oodguard.service.scoring.work_shares import WorkShares
from oodguard.service.scoring.worker_pool import worker_count
from oodguard.service.settings import Settings


def test_work_shares_are_consecutive_for_each_worker() -> None:
    shares = WorkShares([3, 4, 5, 6, 9], 2)
    assert [shares.next(0), shares.next(1), shares.next(0), shares.next(1)] == [3, 5, 4, 6]


def test_work_shares_of_a_slow_worker_are_taken_from_their_end() -> None:
    shares = WorkShares(range(8), 2)
    assert [shares.next(0) for _ in range(4)] == [0, 1, 2, 3]
    assert [shares.next(0), shares.next(1), shares.next(0)] == [6, 4, 7]
    assert [shares.next(1), shares.next(1), shares.next(0)] == [5, None, None]


def test_work_shares_give_every_part_once() -> None:
    shares = WorkShares(range(5), 4)
    given = [shares.next(worker) for worker in (3, 3, 3, 3, 3)]
    assert sorted(each for each in given if each is not None) == [0, 1, 2, 3, 4]
    assert shares.next(0) is None


@pytest.mark.parametrize(
    ("settings", "workers"), [({}, 3), ({"threads": 2}, 2), ({"workers": 5, "threads": 2}, 5)]
)
def test_score_has_a_worker_for_each_cpu_unless_a_number_is_set(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], workers: int
) -> None:
    monkeypatch.setattr(loky, "cpu_count", lambda: 3)
    assert worker_count(Settings(**settings)) == workers
