"""The card of a run's data: what each source contains, and a hash of its content."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import Field, ValidationError

from oodguard.models.counts import count_of
from oodguard.models.errors import RecipeError
from oodguard.models.frozen_model import FrozenModel
from oodguard.models.validation_errors import describe_error
from oodguard.sources.listing import Encoded, Listing
from oodguard.sources.special_file import is_special

EVALUATION = "evaluation."
"""The beginning of the keys of evaluation sources."""

CHANGED_TRAINING = (
    "with which the run was trained. The split of other images has trained images among the"
    " calibration images"
)
CHANGED_EVALUATION = (
    "in which fit searched for images that the run was trained on. Other images may be among them"
)


class Copies(FrozenModel):
    """The images of a source that are left out, as their pixels equal those of other images.

    `rows` are their positions in the source, counted from 0, and `names` those of the first three.
    """

    images: int
    names: tuple[str, ...]
    rows: tuple[int, ...] = ()


class SourceNotes(FrozenModel):
    """The left-out parts of a source: files by ending, unreadable images by reason, and copies.

    `copies` is None if they were not searched for.
    """

    skipped: dict[str, int]
    left_out: dict[str, int] = Field(default_factory=dict)
    copies: Copies | None = None


class SourceCard(SourceNotes):
    """A source: its images by class, what is left out of it, and its content.

    `sha256` is that of the sha256 of every encoded image and the name of its class, in the order
    of the source. Names of files and the size of the network's input do not change it. `groups` is
    the hash of the group of each image, by the rank of its name; None: there are no groups, or the
    run is an older one.
    """

    location: str
    images: int
    classes: dict[str, int]
    sha256: str
    groups: str | None = Field(default=None, exclude_if=lambda value: value is None)


class DataCard(FrozenModel):
    """The sources of a recipe by their key.

    `settings` is the hash of the settings that the run was trained with, None in older runs.
    """

    sources: dict[str, SourceCard]
    settings: str | None = None

    def with_notes(self, notes: Mapping[str, SourceNotes]) -> "DataCard":
        """Return the card with what was found when the images were read."""
        sources = {
            key: card.model_copy(update=dict(notes[key])) if key in notes else card
            for key, card in self.sources.items()
        }
        return self.model_copy(update={"sources": sources})


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
                groups=groups_sha256(listing),
            )
            for key, listing in listings.items()
        }
    )


def read_data_card(path: Path) -> DataCard | None:
    """Read a card; None if there is no file, as in the folder of an older run.

    Raises:
        RecipeError: The file is damaged, or no file.
    """
    if is_special(path):
        raise RecipeError(f"{path}: the path is a pipe or a device, expected a file")
    try:
        return DataCard.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise RecipeError(f"{path} is damaged: {describe_error(error.errors()[0])}") from error


def check_unchanged(recorded: DataCard, listings: Mapping[str, Listing]) -> None:
    """Check that sources contain the images that `fit` recorded, in the same order and groups.

    The split of the inliers is drawn by the number, the order and the groups of the images. After a
    change, images that were used for training would be among the calibration images. The evaluation
    sources were searched for training images. One that is not recorded, as by earlier commits, is
    not checked.

    Raises:
        RecipeError: The error names each source that differs.
    """
    faults = {}
    for key, found in describe_data(listings).sources.items():
        expected = recorded.sources.get(key)
        if expected is None and key.startswith(EVALUATION):
            continue
        if expected is None or found.sha256 != expected.sha256:
            faults[key] = (
                f"  {key}: {found.location} contains {_content_text(found)}, expected"
                f" {_content_text(expected)}"
            )
        elif expected.groups not in {None, found.groups}:
            faults[key] = (
                f"  {key}: the images of {found.location} are in other groups, or the names of the"
                " groups sort in another order"
            )
    if faults:
        of_evaluation = all(key.startswith(EVALUATION) for key in faults)
        raise RecipeError(
            "The images are not those of data.json, "
            + (CHANGED_EVALUATION if of_evaluation else CHANGED_TRAINING)
            + ":\n"
            + "\n".join(faults.values())
            + "\nRestore the images with their order of names and their groups, or train a new run:"
            " fit RECIPE --out FOLDER"
            + (". A bundle is measured on other images: evaluate BUNDLE --recipe FILE")
            * of_evaluation
        )


def _content_text(card: SourceCard | None) -> str:
    return (
        "no images"
        if card is None
        else f"{count_of(card.images, 'image')} (sha256 {card.sha256[:12]})"
    )


def content_sha256(listing: Listing) -> str:
    """Return the hash of the images of a source and their classes, see `SourceCard`."""
    digest = hashlib.sha256()
    for (_, encoded), label in zip(listing.pictures(), listing.labels, strict=True):
        name = listing.classes[label] if 0 <= label < len(listing.classes) else ""
        digest.update(hashlib.sha256(_content(encoded)).digest())
        digest.update(hashlib.sha256(name.encode()).digest())
    return digest.hexdigest()


def groups_sha256(listing: Listing) -> str | None:
    """Return the hash of the group of each image, in the order of the source; None: no groups.

    The split is drawn from the numbers of the groups, which are the ranks of their names. Names of
    the same order do not change it; names of another order, such as 001 and 010 in place of 1 and
    10, change the split.
    """
    if listing.groups is None:
        return None
    numbers = np.unique(listing.groups, return_inverse=True)[1]
    return hashlib.sha256(numbers.astype("<i8").tobytes()).hexdigest()


def _content(encoded: Encoded) -> bytes:
    if not isinstance(encoded, Path):
        return encoded or b""
    if is_special(encoded):  # reported when the images are decoded
        return b""
    try:
        return encoded.read_bytes()
    except (OSError, ValueError):  # reported when the images are decoded
        return b""
