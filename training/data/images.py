"""Images in memory, or in a file of which only the requested rows are in memory."""

import hashlib
import mmap
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

READERS = 2
"""The number of threads that read batches from a file."""

AHEAD = 4
"""The number of batches that are read before they are needed."""


CHUNK = 1024
"""The number of images that are mapped at a time."""


FINGERPRINTED = 1024
"""The number of images that are in memory while they are hashed."""


class Images(Protocol):
    """Images `(n, H, W, 3)` uint8 RGB: a tensor, or `MappedImages`."""

    @property
    def shape(self) -> torch.Size:
        """The shape `(n, H, W, 3)`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Tensor: ...  # noqa: ANN401  (as of a tensor)

    def numpy(self) -> NDArray[np.uint8]:
        """Return all images, in memory."""

    def split(self, size: int, /) -> Iterable[Tensor]:
        """Return the images in batches."""


class MappedImages:
    """Images of a memory-mapped file, at `rows` of the file in this order.

    The pages of a mapping count as memory of the process as long as they are mapped. So they are
    unmapped after every read; the operating system keeps those in memory that fit.
    """

    def __init__(self, path: Path, *, height: int, width: int, rows: Tensor) -> None:
        self.path = path
        self.rows = rows
        self.height, self.width = height, width
        with path.open("rb") as file:
            # A private mapping is writable for torch; the file is never changed.
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self._file = torch.frombuffer(self._map, dtype=torch.uint8).view(-1, height, width, 3)

    @property
    def shape(self) -> torch.Size:
        """The shape `(n, H, W, 3)`."""
        return torch.Size((len(self.rows), self.height, self.width, 3))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any, /) -> Tensor:  # noqa: ANN401  (as of a tensor)
        """Return the images at `index`, in that order, in memory."""
        rows = self.rows[index]
        images = torch.empty(len(rows), self.height, self.width, 3, dtype=torch.uint8)
        for part, chosen in zip(images.split(CHUNK), rows.split(CHUNK), strict=True):
            torch.index_select(self._file, 0, chosen, out=part)  # without the interpreter's lock
            self._map.madvise(mmap.MADV_DONTNEED)
        return images

    def select(self, index: Tensor | slice) -> "MappedImages":
        """Return the images at `index`, in that order, without reading them."""
        return MappedImages(self.path, height=self.height, width=self.width, rows=self.rows[index])

    def numpy(self) -> NDArray[np.uint8]:
        """Return all images, in memory."""
        array: NDArray[np.uint8] = self[:].numpy()
        return array

    def split(self, size: int, /) -> Iterator[Tensor]:
        """Yield the images in batches; the last one may be smaller."""
        return (self[start : start + size] for start in range(0, len(self), size))


def read_ahead(images: Images, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield the images of each batch of rows; those of a file are read by threads beforehand."""
    if isinstance(images, Tensor):
        yield from (images[rows] for rows in batches)
        return
    pending: deque[Future[Tensor]] = deque()
    with ThreadPoolExecutor(READERS) as pool:
        for rows in batches:
            pending.append(pool.submit(images.__getitem__, rows))
            if len(pending) > AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def fingerprints(images: Images) -> NDArray[np.uint64]:
    """Return a 64-bit hash `(n,)` of the pixels of each image `(n, H, W, 3)` uint8.

    Different images have the same hash with probability 2^-64 per pair.
    """
    digests = (
        hashlib.blake2b(image.tobytes(), digest_size=8).digest()
        for batch in images.split(FINGERPRINTED)
        for image in batch.numpy()
    )
    return np.frombuffer(b"".join(digests), np.uint64)
