"""Rate limits that all workers count together."""

import os
from collections.abc import Iterator

import pytest

from oodguard.service.auth.rate_limit import RateLimiter
from oodguard.service.errors import RateLimited
from oodguard.service.workers.shared_rates import RateTable, SharedRateStore
from tests.service.auth.test_rate_limit import make_key


@pytest.fixture(name="table")
def _table() -> Iterator[RateTable]:
    lock = os.memfd_create("test")
    yield RateTable(lock)
    os.close(lock)


def test_shared_rates_limit_a_key_over_all_stores(table: RateTable) -> None:
    limiters = [RateLimiter(5, SharedRateStore(table)) for _ in range(2)]
    for index in range(5):
        limiters[index % 2].require(make_key("a"))
    for limiter in limiters:
        with pytest.raises(RateLimited):
            limiter.require(make_key("a"))
        limiter.require(make_key("b"))


def test_rate_table_keeps_a_time_for_each_key(table: RateTable) -> None:
    keys = [f"key-{number}" for number in range(10_000)]
    with table:
        for number, key in enumerate(keys):
            table.set(key, float(number))
        # Keys whose set is full replace those whose time is the earliest.
        found = [table.get(key) for key in keys]
    assert sum(at is None for at in found) < 10
    assert all(at in {None, float(number)} for number, at in enumerate(found))
