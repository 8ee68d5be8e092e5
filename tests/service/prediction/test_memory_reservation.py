"""Large images share a number of bytes, in the order of their requests."""

from concurrent.futures import ThreadPoolExecutor

from oodguard.service.prediction.memory_reservation import MemoryReservation
from tests.e2e.conftest import wait_until


def test_memory_reservation_serves_what_fits_at_the_same_time() -> None:
    memory = MemoryReservation(10)
    with memory.reserve(4), memory.reserve(6):
        pass


def test_memory_reservation_above_the_capacity_is_served_alone() -> None:
    memory = MemoryReservation(10)
    with memory.reserve(11):
        pass
    with memory.reserve(10):
        pass


def test_memory_reservation_is_released_after_an_error() -> None:
    memory = MemoryReservation(10)
    for _ in range(2):
        try:
            with memory.reserve(10):
                raise LookupError
        except LookupError:
            pass


def test_memory_reservation_serves_a_large_request_before_later_small_ones() -> None:
    memory, order = MemoryReservation(10), list[int]()

    def hold(size: int) -> None:
        with memory.reserve(size):
            order.append(size)

    with ThreadPoolExecutor(2) as pool:
        with memory.reserve(5):
            large = pool.submit(hold, 10)
            wait_until(memory._first_in_line.locked)
            small = pool.submit(hold, 1)  # fits, but is later
        large.result(10)
        small.result(10)
    assert order == [10, 1]
