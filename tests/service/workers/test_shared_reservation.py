"""Memory of large images that all workers share."""

import os
import threading

from oodguard.service.workers.load_table import LoadTable
from oodguard.service.workers.shared_reservation import SharedReservation


def test_shared_reservation_waits_for_another_worker() -> None:
    table, lock = LoadTable(2), os.memfd_create("test")
    first, second = (SharedReservation(100, table.row(each), lock) for each in range(2))
    reserved = threading.Event()

    def reserve() -> None:
        with second.reserve(50):
            reserved.set()

    with first.reserve(60):
        waiting = threading.Thread(target=reserve)
        waiting.start()
        assert not reserved.wait(0.05)
    assert reserved.wait(30)
    waiting.join()
    with first.reserve(1000), second.reserve(0):
        assert table.row(1).decoding_elsewhere() == 100
    assert table.row(1).decoding_elsewhere() == 0
    os.close(lock)
