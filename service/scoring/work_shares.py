"""Share parts between workers: each reads on where it is, and takes work from the slowest."""

from collections.abc import Sequence
from itertools import pairwise


class WorkShares:
    """Parts that are not scored yet, a consecutive range for each worker.

    A worker that reads on does not search its place in a table again. One that has finished takes
    the second half of the longest range.

    Args:
        parts: The parts.
        workers: The number of workers.
    """

    def __init__(self, parts: Sequence[int], workers: int) -> None:
        self._parts = parts
        bounds = [len(parts) * at // workers for at in range(workers + 1)]
        self._ranges = [list(each) for each in pairwise(bounds)]

    def next(self, worker: int) -> int | None:
        """Return the next part of a worker, or None if no part is left."""
        own = self._ranges[worker]
        if own[0] == own[1]:
            longest = max(self._ranges, key=lambda each: each[1] - each[0])
            if longest[0] == longest[1]:
                return None
            middle = (longest[0] + longest[1]) // 2
            own[:] = middle, longest[1]
            longest[1] = middle
        own[0] += 1
        return self._parts[own[0] - 1]
