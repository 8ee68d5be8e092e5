"""The data of a training run: inliers, validation images and outliers without duplicates."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from oodguard.models.errors import RecipeError
from oodguard.training.config.recipe import Recipe
from oodguard.training.data.dataset import ImageSet, load, split
from oodguard.training.data.images import fingerprints


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingData:
    """The images of a run; `outliers` is None for methods without real outliers.

    `held_out` outliers are used for validation and not for training. Without them validation uses
    the first training outliers.
    """

    training: ImageSet
    validation: ImageSet
    outliers: ImageSet | None
    held_out: ImageSet | None = None


def read_training_data(recipe: Recipe, warn: Callable[[str], None]) -> TrainingData:
    """Load the inliers' training and validation parts, and the outliers.

    Outliers that are copies of inliers are removed, with a warning.

    Raises:
        RecipeError: a source cannot be read, or has too few images for the recipe.
    """
    every = load(recipe.inliers, recipe.input)
    inliers = split(every, recipe.inliers, seed=recipe.seed)
    if inliers.copies:
        warn(
            f"inliers: left out {inliers.copies:,} held-out images of {every.name}: their pixels"
            f" equal those of training or validation images. {len(inliers.calibration):,}"
            " calibration images remain"
        )
    if len(inliers.training) < recipe.schedule.batch_size:
        raise RecipeError(
            f"schedule.batch_size is {recipe.schedule.batch_size}, expected at most"
            f" {len(inliers.training)}, the number of training images"
        )
    outliers: ImageSet | None = None
    held_out: ImageSet | None = None
    if recipe.outliers is not None and recipe.outliers.synthetic < 1:
        pool = remove_inliers(load(recipe.outliers, recipe.input), every, warn)
        outliers, held_out = _split_outliers(pool, recipe.outliers.validation)
    return TrainingData(
        training=inliers.training,
        validation=inliers.validation,
        outliers=outliers,
        held_out=held_out,
    )


def remove_inliers(outliers: ImageSet, inliers: ImageSet, warn: Callable[[str], None]) -> ImageSet:
    """Return the outliers without exact copies of inliers, and warn about their number.

    A copy would be trained as an inlier and as an outlier at the same time.

    Raises:
        RecipeError: all outliers are copies.
    """
    copies = np.isin(fingerprints(outliers.images), fingerprints(inliers.images))
    if not copies.any():
        return outliers
    if copies.all():
        raise RecipeError(
            f"outliers: all {len(outliers):,} images of {outliers.name} are also in {inliers.name},"
            " expected images of other objects"
        )
    warn(
        f"outliers: removed {copies.sum():,} of the {len(outliers):,} images of {outliers.name}:"
        f" their pixels equal those of inliers in {inliers.name}"
    )
    return outliers.subset(torch.from_numpy(np.flatnonzero(~copies)))


def _split_outliers(pool: ImageSet, validation: int) -> tuple[ImageSet, ImageSet | None]:
    """Split the outliers into those for training and, if any, the last ones for validation."""
    if validation == 0:
        return pool, None
    if len(pool) < 2 * validation:
        raise RecipeError(
            f"outliers.validation is {validation}, expected at most half of the {len(pool)} images"
            f" in {pool.name}"
        )
    return pool.subset(slice(-validation)), pool.subset(slice(-validation, None))
