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
