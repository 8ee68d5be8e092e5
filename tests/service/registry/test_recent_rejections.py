"""Repeated images: counted by client, bounded, without pixels."""

import numpy as np

from oodguard.service.registry.recent_rejections import RecentRejections


def image(level: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((4, 4, 3), level, np.uint8)


def test_recent_rejections_count_equal_pixels_of_a_client() -> None:
    recent = RecentRejections()
    assert [recent.add("a", image(1)) for _ in range(3)] == [0, 1, 2]
    assert recent.add("a", image(2)) == 0
    assert recent.add("b", image(1)) == 0


def test_recent_rejections_forget_the_least_recent() -> None:
    recent = RecentRejections(capacity=2)
    for level in (1, 2, 1, 3):
        recent.add("a", image(level))
    assert [recent.add("a", image(level)) for level in (1, 2)] == [2, 0]


def test_recent_rejections_of_one_client_do_not_displace_those_of_others() -> None:
    recent = RecentRejections(capacity=8)
    for level in (1, 2):
        recent.add("camera", image(level))
    for level in range(100):
        recent.add("flood", image(level))
    assert [recent.add("camera", image(level)) for level in (1, 2, 3)] == [1, 1, 0]
    assert recent.add("flood", image(99)) == 1


def test_recent_rejections_are_bounded_for_more_clients_than_room() -> None:
    recent = RecentRejections(capacity=4)
    for level in (1, 2, 3, 4):
        recent.add("first", image(level))
    for client in "abcdefgh":
        recent.add(client, image(1))
    assert [recent.add(client, image(1)) for client in ("h", "g", "first")] == [1, 1, 0]
