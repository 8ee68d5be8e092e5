"""Limits on what is in flight, which hold for all workers together."""

import threading
from itertools import count

import pytest

from oodguard.service.errors import Overloaded
from oodguard.service.prediction.admission import Claim
from oodguard.service.workers.load_table import LoadTable, SharedAdmission


def admissions(workers: int = 2, **limits: int) -> tuple[LoadTable, list[SharedAdmission]]:
    table = LoadTable(workers)
    given = {"max_requests": 10, "max_bytes": 1000, "max_images": 100, **limits}
    return table, [SharedAdmission(table.row(each), **given) for each in range(workers)]


def test_shared_admission_limits_the_sum_over_the_workers() -> None:
    _, (first, second) = admissions(max_requests=3)
    with Claim(first, "a") as one, Claim(second, "b") as two, Claim(second, "c") as three:
        one.add("requests", 1)
        two.add("requests", 1)
        three.add("requests", 1)
        with Claim(first, "d") as fourth, pytest.raises(Overloaded, match="3 requests are in"):
            fourth.add("requests", 1)
        assert first.may_be_full()
        with pytest.raises(Overloaded):
            first.require_request("d")
    with Claim(first, "d") as fourth:
        fourth.add("requests", 3)


def test_shared_admission_limits_a_client_over_the_workers() -> None:
    # A client alone may hold four fifths of 10.
    _, (first, second) = admissions()
    with Claim(first, "a") as one, Claim(second, "a") as two:
        one.add("requests", 4)
        two.add("requests", 4)
        with Claim(first, "a") as more:
            with pytest.raises(Overloaded, match="8 requests of this client are in flight"):
                more.add("requests", 1)
            with Claim(second, "b") as other:
                other.add("requests", 1)


def test_shared_admission_rejection_adds_nothing() -> None:
    table, (first, second) = admissions(max_images=10)
    with Claim(first, "a") as one:
        with pytest.raises(Overloaded):
            one.add("images", 11)
        with Claim(second, "b") as two:
            two.add("images", 10)
    assert table.row(0).elsewhere(2) == table.row(1).elsewhere(2) == 0


def test_load_table_releases_what_an_ended_worker_held() -> None:
    table, (first, second) = admissions(max_requests=2)
    with Claim(first, "a") as held:
        held.add("requests", 2)
        table.clear(0)
        with Claim(second, "a") as claim:
            claim.add("requests", 2)


def test_shared_admission_never_exceeds_a_limit_with_many_threads() -> None:
    limit, workers = 5, 4
    table, admitted = admissions(workers, max_requests=limit)
    rows = [table.row(each) for each in range(workers)]
    exceeded: list[int] = []
    clients = count()

    def hammer(worker: int) -> None:
        for _ in range(400):
            with Claim(admitted[worker], str(next(clients))) as claim:
                try:
                    claim.add("requests", 1)
                except Overloaded:
                    continue
                # Announcements of others that are about to be rejected may be included.
                held = sum(each.requests for each in admitted)
                if held > limit:
                    exceeded.append(held)

    threads = [threading.Thread(target=hammer, args=(each,)) for each in range(workers)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert exceeded == []
    assert all(row.elsewhere(0) == 0 for row in rows)


def test_load_row_compares_connections_of_serving_workers() -> None:
    table = LoadTable(3)
    rows = [table.row(each) for each in range(3)]
    rows[0].set_connections(2)
    rows[1].set_connections(1)
    # The others do not accept connections yet.
    assert not rows[0].has_most_connections()
    rows[1].set_serves(serves=True)
    assert rows[0].has_most_connections()
    assert not rows[1].has_most_connections()
    assert [each.other_connections() for each in rows] == [1, 2, 3]
