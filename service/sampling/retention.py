"""Limit the stored samples by number, size and age; the oldest are removed first."""

from collections.abc import Callable
from datetime import datetime, timedelta

from oodguard.service.errors import SampleStoreError
from oodguard.service.sampling.sample import Sample, stem_of, timestamp
from oodguard.service.sampling.stores import SampleStore


class Retention:
    """Store samples within limits.

    Samples of earlier processes count and expire as well; other files are ignored. Old samples are
    removed before a new one is written, so the limits also hold if the store fails to remove.

    Args:
        store: Stores the files.
        max_bytes: Maximum size of all samples in bytes.
        max_images: Maximum number of samples.
        max_age: Maximum age of a sample; None for no maximum.
        now: Returns the time in UTC.

    Attributes:
        size: Size of all samples in bytes.
    """

    def __init__(
        self,
        store: SampleStore,
        *,
        max_bytes: int,
        max_images: int,
        max_age: timedelta | None,
        now: Callable[[], datetime],
    ) -> None:
        self.size = 0
        self._store = store
        self._max_bytes = max_bytes
        self._max_images = max_images
        self._max_age = max_age
        self._now = now
        # Sizes by file name, by stem, in order of age.
        self._samples: dict[str, dict[str, int]] = {}
        self._listed = False

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._samples)

    def put(self, sample: Sample) -> None:
        """Store a sample.

        Raises:
            SampleStoreError: The sample is larger than `max_bytes`, or the store fails.
        """
        if sample.size > self._max_bytes:
            raise SampleStoreError(
                f"The sample has {sample.size} bytes, expected at most {self._max_bytes}"
                " of all samples."
            )
        self.expire()
        while len(self) >= self._max_images or self.size + sample.size > self._max_bytes:
            self._remove_oldest()
        for name, data in sample.files.items():
            self._store.put(name, data)
            self._add(sample.stem, name, len(data))

    def expire(self) -> None:
        """Remove the samples that are older than the maximum age.

        Raises:
            SampleStoreError: The store fails.
        """
        self._list_once()
        if self._max_age is None:
            return
        oldest = timestamp(self._now() - self._max_age)
        while self._samples and next(iter(self._samples)) < oldest:
            self._remove_oldest()

    def _list_once(self) -> None:
        if self._listed:
            return
        for name, size in sorted(self._store.list_files()):
            if stem := stem_of(name):
                self._add(stem, name, size)
        self._listed = True

    def _add(self, stem: str, name: str, size: int) -> None:
        self._samples.setdefault(stem, {})[name] = size
        self.size += size

    def _remove_oldest(self) -> None:
        stem, files = next(iter(self._samples.items()))
        for name, size in [*files.items()]:
            self._store.remove(name)
            del files[name]
            self.size -= size
        del self._samples[stem]
