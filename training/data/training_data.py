"""The data of a training run: inliers, validation images and outliers without duplicates."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray

from oodguard.models.counts import count_of
from oodguard.models.errors import RecipeError
from oodguard.training.config.recipe import Recipe
from oodguard.training.data.card import SourceNotes
from oodguard.training.data.copies import named, source_notes
from oodguard.training.data.dataset import ImageSet, load, split
from oodguard.training.data.images import fingerprints


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingData:
    """The images of a run; `outliers` is None for methods without real outliers.

    `held_out` outliers are used for validation and not for training. Without them validation uses
    the first training outliers. `notes` are what was left out, by the key of the source, and
    `fingerprints` those of all inliers and outliers.
    """

    training: ImageSet
    validation: ImageSet
    outliers: ImageSet | None
    held_out: ImageSet | None = None
    notes: Mapping[str, SourceNotes] = field(default_factory=dict)
    fingerprints: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))

    @property
    def sha256(self) -> str:
        """The sha256 of all images and of the labels, in their order."""
        digest = sha256(self.fingerprints.tobytes())
        for part in (self.training, self.validation):
            digest.update(repr(part.classes).encode(errors="surrogateescape"))
            digest.update(part.labels.numpy().tobytes())
        return digest.hexdigest()


def read_training_data(recipe: Recipe, warn: Callable[[str], None]) -> TrainingData:
    """Load the inliers' training and validation parts, and the outliers.

    Outliers that are copies of inliers are removed, with a warning.

    Raises:
        RecipeError: A source cannot be read, or has too few images for the recipe.
    """
    every = load(recipe.inliers, recipe.input)
    inliers = split(every, recipe.inliers, seed=recipe.seed)
    notes = {"inliers": source_notes(recipe.inliers, every, inliers.copies, labelled=True)}
    if inliers.copies:
        warn(
            f"inliers: left out {count_of(len(inliers.copies), 'held-out image')} of {every.name}:"
            f" the pixels equal those of training or validation images{_named(notes['inliers'])}."
            f" {len(inliers.calibration):,} calibration images remain"
        )
    if len(inliers.training) < recipe.schedule.batch_size:
        raise RecipeError(
            f"schedule.batch_size is {recipe.schedule.batch_size}, expected at most"
            f" {len(inliers.training)}, the number of training images"
        )
    outliers: ImageSet | None = None
    held_out: ImageSet | None = None
    known = [inliers.fingerprints]
    if recipe.outliers is not None and recipe.outliers.synthetic < 1:
        loaded = load(recipe.outliers, recipe.input)
        known.append(fingerprints(loaded.images))
        is_copy = np.isin(known[1], known[0])
        pool, copies = remove_inliers(loaded, every, is_copy=is_copy)
        notes["outliers"] = source_notes(recipe.outliers, loaded, copies, labelled=False)
        if copies:
            warn(
                f"outliers: removed {len(copies):,} of the {len(loaded):,} images of"
                f" {loaded.name}: the pixels equal those of inliers in"
                f" {every.name}{_named(notes['outliers'])}"
            )
        outliers, held_out = _split_outliers(
            pool, known[1][~is_copy], recipe.outliers.validation, warn
        )
    return TrainingData(
        training=inliers.training,
        validation=inliers.validation,
        outliers=outliers,
        held_out=held_out,
        notes=notes,
        fingerprints=np.concatenate(known),
    )


def _named(notes: SourceNotes) -> str:
    return named(notes.copies) if notes.copies else ""


def remove_inliers(
    outliers: ImageSet, inliers: ImageSet, *, is_copy: NDArray[np.bool_]
) -> tuple[ImageSet, ImageSet]:
    """Return the outliers without exact copies of inliers, and the copies.

    A copy would be trained as an inlier and as an outlier at the same time.

    Raises:
        RecipeError: All outliers are copies.
    """
    if is_copy.all():
        raise RecipeError(
            f"outliers: every image of {outliers.name} ({len(outliers):,} in all) is also in"
            f" {inliers.name}, expected images of other objects"
        )
    copies, others = (torch.from_numpy(np.flatnonzero(each)) for each in (is_copy, ~is_copy))
    return outliers.subset(others) if is_copy.any() else outliers, outliers.subset(copies)


def _split_outliers(
    pool: ImageSet, prints: NDArray[np.uint64], validation: int, warn: Callable[[str], None]
) -> tuple[ImageSet, ImageSet | None]:
    """Split the outliers into those for training and, if any, the last ones for validation.

    Outliers for validation whose pixels equal those of others, by the fingerprints `prints` `(n,)`,
    are left out.

    Raises:
        RecipeError: Too few remain.
    """
    if validation == 0:
        return pool, None
    if len(pool) < 2 * validation:
        raise RecipeError(
            f"outliers.validation is {validation}, expected at most half of"
            f" {count_of(len(pool), 'image')} in {pool.name}"
        )
    is_copy = np.isin(prints[-validation:], prints[:-validation])
    if is_copy.all():
        raise RecipeError(
            f"outliers.validation is {validation}, and the pixels of these images of {pool.name}"
            " equal those of training outliers, expected other images"
        )
    if is_copy.any():
        warn(
            f"outliers: left out {is_copy.sum():,} of the {validation:,} images of {pool.name} for"
            " validation: the pixels equal those of training outliers"
        )
    held_out = pool.subset(slice(-validation, None))
    return pool.subset(slice(-validation)), held_out.subset(
        torch.from_numpy(np.flatnonzero(~is_copy))
    )
