"""How much is kept, and for how long: the oldest samples make room for the newest."""

from collections.abc import Callable
from datetime import datetime, timedelta

from oodguard.service.errors import SampleStoreError
from oodguard.service.sampling.sample import Sample, moment, stem_of
from oodguard.service.sampling.stores import SampleStore


class Retention:
    """Samples in a store, within bounds in number, bytes and age.

    What is there already counts and ages too; files that are no samples are let alone. Room is made
    before it is taken, so that a store that does not remove gets no more.

    Args:
        store: Where they are.
        max_bytes: Most bytes of all of them.
        max_images: Most of them.
        max_age: For how long one is kept; none: until others need its room.
        now: The time, in UTC.

    Attributes:
        size: Bytes that are held.
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
        # By stem, the oldest first: the files of each, and their bytes.
        self._held: dict[str, dict[str, int]] = {}
        self._looked = False

    def __len__(self) -> int:
        """How many samples are held."""
        return len(self._held)

    def put(self, sample: Sample) -> None:
        """Keep a sample.

        Raises:
            SampleStoreError: It is larger than all that may be kept, or the store fails.
        """
        if sample.size > self._max_bytes:
            raise SampleStoreError(
                f"{sample.size} bytes came; at most {self._max_bytes} are kept in all"
            )
        self.expire()
        while len(self._held) >= self._max_images or self.size + sample.size > self._max_bytes:
            self._remove_oldest()
        for name, data in sample.files.items():
            self._store.put(name, data)
            self._add(sample.stem, name, len(data))

    def expire(self) -> None:
        """Remove what is too old.

        Raises:
            SampleStoreError: The store does.
        """
        self._look()
        if self._max_age is None:
            return
        oldest = moment(self._now() - self._max_age)
        while self._held and next(iter(self._held)) < oldest:
            self._remove_oldest()

    def _look(self) -> None:
        """Find out once what is there."""
        if self._looked:
            return
        for name, size in sorted(self._store.held()):
            if stem := stem_of(name):
                self._add(stem, name, size)
        self._looked = True

    def _add(self, stem: str, name: str, size: int) -> None:
        self._held.setdefault(stem, {})[name] = size
        self.size += size

    def _remove_oldest(self) -> None:
        stem, files = next(iter(self._held.items()))
        for name, size in [*files.items()]:
            self._store.remove(name)
            del files[name]
            self.size -= size
        del self._held[stem]
