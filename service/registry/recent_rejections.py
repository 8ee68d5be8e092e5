"""Recognize images that were rejected before, without keeping their pixels."""

from collections import OrderedDict
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

CAPACITY: Final = 4096
"""The number of images that are remembered."""


class RecentRejections:
    """Counts how often a client's pixels were rejected, among the most recent rejections.

    It remembers Python's hash of the pixels: 64 bits of SipHash-1-3 with the random key of the
    process (PEP 456), which cannot be reversed without the key, and are never written or sent. A
    client learns nothing about the images of others, because the counts are by client.

    Each client has an equal share of the capacity: where there is no room, the least recent image
    of a client with more than its share is forgotten, that of the sender first. So a client with
    many images does not displace those of the others. The methods are thread-safe.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._count = 0
        # The clients and the images of each, the least recent first.
        self._clients: OrderedDict[str, OrderedDict[int, int]] = OrderedDict()
        self._largest: OrderedDict[int, int] = OrderedDict()
        self._lock = Lock()

    def add(self, client: str, image: NDArray[np.uint8]) -> int:
        """Remember a rejected image, and return how often its pixels were rejected before."""
        key = hash(image.tobytes())
        with self._lock:
            own = self._clients.setdefault(client, OrderedDict())
            self._clients.move_to_end(client)
            before = own.pop(key, 0)
            own[key] = before + 1
            self._count += not before
            if self._count > self._capacity:
                self._forget(own)
        return before

    def _forget(self, own: OrderedDict[int, int]) -> None:
        """Forget an image, or if there are more clients than room, the least recent client."""
        if len(self._clients) > self._capacity:
            _, forgotten = self._clients.popitem(last=False)
            self._count -= len(forgotten)
            if forgotten is self._largest:
                self._largest = OrderedDict()
            return
        share = self._capacity // len(self._clients)
        if len(own) > share:
            self._largest = own
        elif len(self._largest) <= share:
            # One has more than its share, because together they have more than the capacity.
            self._largest = max(self._clients.values(), key=len)
        self._largest.popitem(last=False)
        self._count -= 1
