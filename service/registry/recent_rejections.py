"""Recognize images that were rejected before, without keeping their pixels."""

from collections import OrderedDict
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

CAPACITY: Final = 4096
"""The number of images that are remembered; the least recent one is forgotten first."""


class RecentRejections:
    """Counts how often a client's pixels were rejected, among the most recent rejections.

    It remembers Python's hash of the pixels: 64 bits of SipHash-1-3 with the random key of the
    process (PEP 456), which cannot be reversed without the key, and are never written or sent. A
    client learns nothing about the images of others, because the counts are by client. The methods
    are thread-safe.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._counts: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._lock = Lock()

    def add(self, client: str, image: NDArray[np.uint8]) -> int:
        """Remember a rejected image, and return how often its pixels were rejected before."""
        key = (client, hash(image.tobytes()))
        with self._lock:
            before = self._counts.pop(key, 0)
            self._counts[key] = before + 1
            if len(self._counts) > self._capacity:
                self._counts.popitem(last=False)
        return before
