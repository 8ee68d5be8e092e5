"""What a place for samples can do. Called in the sampler's thread alone, which may wait for it."""

from collections.abc import Iterable
from typing import Protocol


class Store(Protocol):
    """Files by name, each written as a whole or not at all.

    Every method raises StoreFailed where the place does not do its part.
    """

    def held(self) -> Iterable[tuple[str, int]]:
        """Name and bytes of every file that is there."""

    def put(self, name: str, data: bytes) -> None:
        """Write a file."""

    def remove(self, name: str) -> None:
        """Remove a file, which may be gone already."""
