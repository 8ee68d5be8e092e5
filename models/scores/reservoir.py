"""A fair sample of a stream of rows."""

import torch
from torch import Tensor


class Reservoir:
    """Keeps `size` rows, drawn uniformly without replacement; all of them where there are fewer.

    Every row draws a key from [0, 1) and the smallest keys stay, so that the sample depends on the
    seed and on the rows' order, and not on how they are cut into batches.
    """

    def __init__(self, *, size: int, width: int, seed: int) -> None:
        self.rows = torch.empty(0, width)
        self._size = size
        self._keys = torch.empty(0, dtype=torch.float64)
        self._generator = torch.Generator().manual_seed(seed)

    def update(self, rows: Tensor) -> None:
        """See the next rows `(n, width)`."""
        drawn = torch.rand(len(rows), dtype=torch.float64, generator=self._generator)
        keys = torch.cat([self._keys, drawn])
        kept = keys.argsort()[: self._size]
        self._keys = keys[kept]
        self.rows = torch.cat([self.rows, rows])[kept]
