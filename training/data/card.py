"""The card of a run's data: what each source contains, and a hash of its content."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from oodguard.models.manifest import FrozenModel
from oodguard.models.names import is_special
from oodguard.training.data.listing import Encoded, Listing


class SourceCard(FrozenModel):
    """A source: its images by class, its skipped files by ending, and its content.

    `sha256` is that of the sha256 of every encoded image and the name of its class, in the order
    of the source. Names of files and the size of the network's input do not change it.
    """

    location: str
    images: int
    classes: dict[str, int]
    skipped: dict[str, int]
    sha256: str


class DataCard(FrozenModel):
    """The sources of a recipe by their key."""

    sources: dict[str, SourceCard]


def describe_data(listings: Mapping[str, Listing]) -> DataCard:
    """Return the card of listed sources; every image is read for its hash."""
    return DataCard(
        sources={
            key: SourceCard(
                location=listing.location,
                images=len(listing),
                classes=listing.counts,
                skipped=dict(listing.skipped),
                sha256=content_sha256(listing),
            )
            for key, listing in listings.items()
        }
    )


def content_sha256(listing: Listing) -> str:
    """Return the hash of the images of a source and their classes, see `SourceCard`."""
    digest = hashlib.sha256()
    for (_, encoded), label in zip(listing.pictures(), listing.labels, strict=True):
        name = listing.classes[label] if 0 <= label < len(listing.classes) else ""
        digest.update(hashlib.sha256(_content(encoded)).digest())
        digest.update(hashlib.sha256(name.encode()).digest())
    return digest.hexdigest()


def _content(encoded: Encoded) -> bytes:
    if not isinstance(encoded, Path):
        return encoded or b""
    if is_special(encoded):  # reported when the images are decoded
        return b""
    try:
        return encoded.read_bytes()
    except OSError:  # reported when the images are decoded
        return b""
