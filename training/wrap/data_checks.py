"""Check the images of a wrapped classifier before its scores are fitted and calibrated."""

import hashlib
from collections.abc import Sequence

from torch import Tensor

from oodguard.models.errors import ClassifierError
from oodguard.sources.classes import match_classes
from oodguard.sources.listing import Listing
from oodguard.training.data.dataset import ImageSet
from oodguard.training.wrap.labels import check_has_classes

DIGESTED = 1024

MOST_SHARED = 0.01
"""The largest share of the data that may also be among the images of `fit`."""

NAMED = 20
"""The number of classes that a message names."""


def check_shared(images: ImageSet, fit_images: ImageSet) -> None:
    """Check that the images of the threshold and the figures did not fit the scores.

    Raises:
        ClassifierError: Too many of them did.
    """
    known = {_digest(each) for batch, _ in fit_images.batches(DIGESTED) for each in batch}
    shared = sum(_digest(each) in known for batch, _ in images.batches(DIGESTED) for each in batch)
    if shared > MOST_SHARED * len(images):
        raise ClassifierError(
            f"--fit {fit_images.name}: contains {shared:,} of the {len(images):,} images of --data,"
            " expected other images: a score that was fitted on an image does not measure it"
        )


def check_fit_classes(classes: Sequence[str] | None, data: Listing, fit: Listing) -> str | None:
    """Check that the scores are fitted on images of every class of the data.

    `classes` are those of the classifier; None: those of the data.

    Returns:
        A warning if neither has images of a class; None if `fit` has images of all.

    Raises:
        ClassifierError: `fit` lacks a class of the data, or has no classes.
        RecipeError: A class is unknown.
    """
    check_has_classes("--data", data.location, data.classes)
    check_has_classes("--fit", fit.location, fit.classes)
    known = tuple(classes or data.classes)
    found, fitted = _present(known, data), _present(known, fit)
    if missing := [known[at] for at in sorted(found - fitted)]:
        raise ClassifierError(
            f"--fit {fit.location}: no image of {len(missing):,} of the {len(found):,} classes of"
            f" --data: {_first(missing)}. Expected images of each: the scores would take images of"
            " other classes for out-of-distribution ones. Add images of these classes; a table is"
            " read in its order: shuffle its rows or raise --images"
        )
    if missing := [name for at, name in enumerate(known) if at not in fitted]:
        return (
            f"--fit {fit.location} has no image of {len(missing):,} of the {len(known):,} classes:"
            f" {_first(missing)}. The scores mahalanobis and relative_mahalanobis require a mean of"
            " every class and are left out; knn and vim will probably reject images of these"
            " classes"
        )
    return None


def _present(known: Sequence[str], listing: Listing) -> set[int]:
    positions = match_classes(known, listing.classes, name=listing.location)
    return {at for at, count in zip(positions, listing.counts.values(), strict=True) if count}


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def _digest(image: Tensor) -> bytes:
    return hashlib.sha256(image.numpy().tobytes()).digest()
