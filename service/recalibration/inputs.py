"""The images of a calibration: a folder, a table, or a review list of samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oodguard.models.errors import RecipeError
from oodguard.models.names import text_of
from oodguard.service.sampling.review import check_no_decisions, is_review, read_review
from oodguard.sources.classes import match_classes
from oodguard.sources.endings import is_table
from oodguard.sources.listing import Listing
from oodguard.sources.reader import list_source, source_at
from oodguard.sources.source_options import way_to_set
from oodguard.sources.special_file import is_special

OPTIONS = (
    "images",
    "skip_broken",
    "image_column",
    "label_column",
    "group",
    "group_across_classes",
)
"""The keys of a source that are options of the command."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationImages:
    """Listed images.

    Attributes:
        name: The name of the source.
        listing: The images.
        number_of: The index of a class of the model by the label; None: labels are not used.
        dropped: The number of samples that a person left out.
        unlabelled: The number of images without a label, if others have one.
    """

    name: str
    listing: Listing
    number_of: NDArray[np.int32] | None
    dropped: int = 0
    unlabelled: int = 0


def list_images(  # noqa: PLR0913 - the options of the command
    path: Path,
    known: Sequence[str],
    *,
    images: int | None,
    labels: bool,
    group: str | None,
    group_across_classes: bool,
    skip_broken: bool,
    image_column: str | None,
    label_column: str | None,
) -> CalibrationImages:
    """List the images at a path; a CSV file with the columns image and keep is a review list.

    Images are labelled if the folder has sub-folders, or the table a column of labels, unless
    `labels` is false. In a review list, all images or none are labelled. A group has the images of
    all classes with one value, if there are no labels, with `group_across_classes`, and in a review
    list. `known` are the classes of the model.

    Raises:
        RecipeError: The images cannot be listed, or have labels of unknown classes.
    """
    if is_special(path):
        raise RecipeError(
            f"{text_of(path)}: the path is a pipe or a device, expected a folder or a table"
        )
    source = source_at(
        path,
        images=images,
        skip_broken=skip_broken,
        image_column=image_column,
        label_column=label_column,
        group=group,
        group_across_classes=group_across_classes,
    )
    if path.is_file() and is_review(path):
        found = read_review(path, group=group, skip_broken=skip_broken)
        listing = found.listing
        if images is not None:
            listing = listing.select(np.arange(min(images, len(listing))))
        return CalibrationImages(
            name=text_of(path.name),
            listing=listing,
            number_of=_numbers(known, listing) if labels and not found.unlabelled else None,
            dropped=found.dropped,
            unlabelled=found.unlabelled if listing.classes else 0,
        )
    for key, column in (("image_column", image_column), ("label_column", label_column)):
        if column is not None and not is_table(path):
            raise RecipeError(
                f"{way_to_set(key)} is {column!r}, expected none: {text_of(path)} is no table."
                " Remove the option"
            )
    listing = list_source(source, labelled=False)
    check_no_decisions(listing)
    number_of = _numbers(known, listing) if labels else None
    if number_of is not None:
        listing = list_source(source, labelled=True)
    elif listing.group_values is not None:
        listing = replace(listing, groups=listing.group_values)
    return CalibrationImages(name=source.name, listing=listing, number_of=number_of)


def _numbers(known: Sequence[str], listing: Listing) -> NDArray[np.int32] | None:
    """Return the index of each class of a listing among the known ones; None without classes."""
    if not listing.classes:
        return None
    try:
        found = match_classes(known, listing.classes, name=listing.location)
    except RecipeError as error:
        raise RecipeError(
            f"{error}. Correct the names, or calibrate without labels: --no-labels"
        ) from error
    return np.array(found, np.int32)
