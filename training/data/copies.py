"""Images of a source whose pixels equal those of other images, and what else is left out of it."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from oodguard.models.counts import count_of
from oodguard.models.errors import RecipeError
from oodguard.sources.reader import list_source
from oodguard.sources.source import Source
from oodguard.training.config.evaluation_sources import evaluation_sources
from oodguard.training.config.recipe import Recipe
from oodguard.training.data.card import Copies, SourceNotes
from oodguard.training.data.dataset import ImageSet, load
from oodguard.training.data.images import fingerprints

NAMED_COPIES = 3


def source_notes(
    source: Source, images: ImageSet, copies: ImageSet, *, labelled: bool
) -> SourceNotes:
    """Return what was left out of the images of a source; the source is listed for the names."""
    found = () if copies.positions is None else tuple(sorted(copies.positions.tolist()))
    names: tuple[str, ...] = ()
    if found:
        rows = np.array(found[:NAMED_COPIES], np.int64)
        pictures = list_source(source, labelled=labelled).select(rows).pictures()
        names = tuple(name for name, _ in pictures)
    return SourceNotes(
        skipped=dict(images.skipped),
        left_out=dict(images.left_out),
        copies=Copies(images=len(copies), names=names, rows=found),
    )


def evaluation_notes(
    recipe: Recipe, trained: NDArray[np.uint64], warn: Callable[[str], None]
) -> dict[str, SourceNotes]:
    """Return what is left out of the evaluation sources of a recipe, and warn about copies.

    Args:
        recipe: The recipe of a run.
        trained: The fingerprints of all inliers and outliers of the run.
        warn: Is called with a warning for each source that has images with these pixels.

    Raises:
        RecipeError: A source has images that cannot be read.
    """
    test, outliers = evaluation_sources(recipe)
    sources = {"evaluation.test": test}
    sources |= {f"evaluation.outliers.{name}": each for name, each in outliers.items()}
    notes = {}
    for key, source in sources.items():
        labelled = key == "evaluation.test"
        images = load(source, recipe.input, labelled=labelled)
        is_copy = np.isin(fingerprints(images.images), trained)
        copies = images.subset(torch.from_numpy(np.flatnonzero(is_copy)))
        notes[key] = source_notes(source, images, copies, labelled=labelled)
        if warning := copies_warning(key, notes[key]):
            warn(warning)
    return notes


def copies_warning(key: str, notes: SourceNotes) -> str | None:
    """Return the warning about images of an evaluation source that were trained on, if any."""
    if notes.copies is None or not notes.copies.images:
        return None
    return (
        f"{key}: the evaluation leaves out {count_of(notes.copies.images, 'image')}: the pixels"
        f" equal those of images in [inliers] or [outliers]{named(notes.copies)}"
    )


def named(copies: Copies) -> str:
    """Return the first names of copies in parentheses; empty without names."""
    if not copies.names:
        return ""
    more = ", ..." if copies.images > len(copies.names) else ""
    return f" ({', '.join(copies.names)}{more})"


def without_copies(images: ImageSet, copies: Copies | None, *, key: str) -> ImageSet:
    """Return the images of an evaluation source that were not trained on.

    Raises:
        RecipeError: No image remains.
    """
    if copies is None or not copies.rows or images.positions is None:
        return images
    kept = ~np.isin(images.positions.numpy(), copies.rows)
    if not kept.any():
        raise RecipeError(
            f"{key}: the pixels of every image of {images.name} ({len(images):,} in all) equal"
            " those of images in [inliers] or [outliers], expected images that the run was not"
            " trained on"
        )
    return images.subset(torch.from_numpy(np.flatnonzero(kept)))
